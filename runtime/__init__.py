"""What any process needs: settings, logs, database, SQL, cache, queue, bucket, problems, loop."""

"""What any process needs: settings, database, cache, queue, auth, problems, health, the loop."""

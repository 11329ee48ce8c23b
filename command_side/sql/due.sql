-- name: due
-- What has come to its time, the oldest first.
SELECT transaction_id FROM command.standings
WHERE due_at <= $1
ORDER BY due_at
LIMIT $2;

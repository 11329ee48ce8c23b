-- name: checkpoint
-- How far `reader` has come, as of now.
SELECT position FROM events.checkpoints WHERE reader = $1;

-- name: lock_checkpoint
-- Two workers take turns; the later one finds the checkpoint moved and its events old.
SELECT position, xmin FROM events.checkpoints WHERE reader = $1 FOR UPDATE;

-- name: try_lock_checkpoint
-- Any number of relays are safe: all but one skip.
SELECT position FROM events.checkpoints WHERE reader = $1 FOR UPDATE SKIP LOCKED;

-- name: move_checkpoint
-- Never backwards.
UPDATE events.checkpoints SET position = $2, moved_at = clock_timestamp()
WHERE reader = $1 AND position <= $2
RETURNING xmin;

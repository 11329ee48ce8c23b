-- name: lock_head
-- The one lock of an append. Held to the commit, it makes the order of positions the order of
-- commits, so a reader that follows positions can never overtake a slower writer.
SELECT position, last_recorded_at, accounts_stored, mended FROM events.head FOR UPDATE;

-- name: head
-- Without a lock: for those who only want to know how long the log is.
SELECT position, last_recorded_at, accounts_stored, mended FROM events.head;

-- name: find
-- Every command's first event has version 1, so the primary key answers "seen before?".
SELECT notification_id, originator_id, originator_version, topic, state
FROM events.daybook_events
WHERE originator_id = ANY($1::uuid[]) AND originator_version = 1;

-- name: append
-- All in one statement. Moving the head locks it, and moves it only from where it is expected: if
-- somebody else was there, no row is moved, and none inserted. The notification is delivered at
-- commit, never before: it wakes relays without polling.
WITH moved AS (
    UPDATE events.head
    SET
        position = position + cardinality($5::uuid[]),
        last_recorded_at = $3,
        accounts_stored = $4
    WHERE position = $1 AND mended = $2
    RETURNING pg_notify('daybook_log', position::text)
)

INSERT INTO events.daybook_events (
    originator_id, originator_version, topic, state, notification_id
)
SELECT
    new.originator_id, new.originator_version, new.topic, new.state,
    $1 + new.line AS notification_id
FROM moved
CROSS JOIN
    unnest($5::uuid[], $6::bigint[], $7::text[], $8::bytea[])
    WITH ORDINALITY AS new (originator_id, originator_version, topic, state, line);

-- name: read_after
-- Positions have no gaps, so a page is one contiguous range of the index.
SELECT notification_id, originator_id, originator_version, topic, state
FROM events.daybook_events
WHERE notification_id > $1 AND notification_id <= $2
ORDER BY notification_id
LIMIT $3;

-- name: read_mentioning
-- One account's events: those whose state holds its id as a JSON string (ids need no escape), and
-- no index that every append would pay for. The exact test is the reader's, on the decoded event.
SELECT notification_id, originator_id, originator_version, topic, state
FROM events.daybook_events
WHERE notification_id > $1 AND notification_id <= $2 AND position($3::bytea IN state) > 0
ORDER BY notification_id
LIMIT $4;

-- name: read_at
-- Single events, wherever they are.
SELECT notification_id, originator_id, originator_version, topic, state
FROM events.daybook_events
WHERE notification_id = ANY($1::bigint[])
ORDER BY notification_id;

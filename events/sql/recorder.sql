-- name: limit_wait
-- For this transaction only: how long to wait for the head, in milliseconds; 0 is for ever.
SELECT set_config('lock_timeout', $1::text, TRUE);

-- name: record
-- An append in one statement. Moving the head is what locks it, so a writer that had to wait goes
-- on from where the other one committed; a duplicate rolls the head back with everything else.
-- The events' own times are opaque here but in the past, so the clock, if it is ahead, bounds them.
WITH moved AS (
    UPDATE events.head
    SET
        position = position + cardinality($1::uuid[]),
        last_recorded_at = greatest(last_recorded_at, clock_timestamp())
    RETURNING position, pg_notify('daybook_log', position::text)
)

INSERT INTO events.daybook_events (
    originator_id, originator_version, topic, state, notification_id
)
SELECT
    new.originator_id, new.originator_version, new.topic, new.state,
    moved.position - cardinality($1::uuid[]) + new.line AS notification_id
FROM moved
CROSS JOIN
    unnest($1::uuid[], $2::bigint[], $3::text[], $4::bytea[])
    WITH ORDINALITY AS new (originator_id, originator_version, topic, state, line)
ORDER BY new.line
RETURNING notification_id;

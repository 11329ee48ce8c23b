-- name: read_of_ledger
-- The log of one ledger, by positions. The log has no column for the ledger, and an index on it
-- would be paid for by every append; but every state begins with {"ledger":"NAME", and no name
-- needs an escape. So a reader gives a bounded range, and each event in it is looked at.
-- Oldest first. The needle is a coarse filter that spares the reader most of what is not wanted.
SELECT notification_id, originator_id, originator_version, topic, state
FROM events.daybook_events
WHERE
    notification_id > $1 AND notification_id <= $2
    AND split_part(encode(substring(state FROM 1 FOR 76), 'escape'), '"', 4) = $3
    AND ($4::text IS NULL OR topic = $4)
    AND ($5::bytea IS NULL OR position($5 IN state) > 0)
ORDER BY notification_id
LIMIT $6;

-- name: read_of_ledger_backwards
-- The same, newest first.
SELECT notification_id, originator_id, originator_version, topic, state
FROM events.daybook_events
WHERE
    notification_id > $1 AND notification_id <= $2
    AND split_part(encode(substring(state FROM 1 FOR 76), 'escape'), '"', 4) = $3
    AND ($4::text IS NULL OR topic = $4)
    AND ($5::bytea IS NULL OR position($5 IN state) > 0)
ORDER BY notification_id DESC
LIMIT $6;

-- name: read_tail
-- What was added lately for any of several ledgers, each event with the ledger it is of.
SELECT
    e.notification_id, e.originator_id, e.originator_version, e.topic, e.state,
    split_part(encode(substring(e.state FROM 1 FOR 76), 'escape'), '"', 4) AS ledger
FROM events.daybook_events AS e
WHERE
    e.notification_id > $1 AND e.notification_id <= $2
    AND split_part(encode(substring(e.state FROM 1 FOR 76), 'escape'), '"', 4) = ANY($3::text[])
ORDER BY e.notification_id
LIMIT $4;

-- name: positions
-- The position of the log and of its readers, in one snapshot; sampled every few milliseconds.
SELECT
    h.position AS head,
    min(c.position) FILTER (WHERE c.reader = 'projector') AS projected,
    min(c.position) AS everybody
FROM events.head AS h CROSS JOIN events.checkpoints AS c
WHERE c.reader IN ('relay', 'projector')
GROUP BY h.position;

-- name: relation_sizes
-- The size of each table (with its TOAST table) and of each index of ours, by name.
SELECT
    n.nspname || '.' || c.relname AS name,
    CASE WHEN c.relkind = 'i' THEN pg_relation_size(c.oid) ELSE pg_table_size(c.oid) END AS bytes
FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE c.relkind IN ('r', 'm', 'i') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema';

-- name: wal_bytes
-- The bytes of write-ahead log that the whole server has ever written.
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint;

-- name: backend
-- The process that serves this connection: its parent is the server.
SELECT pg_backend_pid();

-- name: missing
-- The number of accepted transactions that have no posted transfer in the log; it must be 0.
SELECT count(*)
FROM unnest($1::uuid[]) AS accepted (id)
WHERE
    NOT EXISTS (
        SELECT FROM events.daybook_events AS e
        WHERE e.originator_id = accepted.id AND e.topic = 'transfer.posted'
    );

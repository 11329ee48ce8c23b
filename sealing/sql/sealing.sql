-- name: unsealed
-- How many events wait for their seal, without a lock: an idle sealer writes nothing.
SELECT head.position - sealer.position AS unsealed
FROM events.head AS head
CROSS JOIN events.checkpoints AS sealer
WHERE sealer.reader = 'sealer';

-- name: leaf_hashes
-- The leaves (sealing/leaves.py) are hashed where they are: measured, that takes no more of the
-- server than Python takes of itself, and 32 bytes an event go over the wire instead of hundreds.
SELECT
    count(*) AS count,
    max(page.position) AS last,
    string_agg(page.hash, NULL ORDER BY page.position) AS nodes
FROM (
    SELECT
        notification_id AS position,
        sha256(
            '\x00'::bytea
            || substr(sha256((SELECT secret FROM seal.secret) || int8send(notification_id)), 1, 16)
            || int8send(notification_id)
            || uuid_send(originator_id)
            || int8send(originator_version)
            || int4send(length(convert_to(topic, 'UTF8')))
            || convert_to(topic, 'UTF8')
            || state
        ) AS hash
    FROM events.daybook_events
    WHERE notification_id > $1
    ORDER BY notification_id
    LIMIT $2
) AS page;

-- name: tiles
-- Single tiles, by level and place in it.
SELECT tiles.level, tiles.place, tiles.nodes
FROM seal.tiles AS tiles
INNER JOIN unnest($1::smallint[], $2::bigint[]) AS wanted (level, place)
    ON tiles.level = wanted.level AND tiles.place = wanted.place;

-- name: sealed_size
-- How many leaves the tiles have: the last of level 0 says it.
SELECT place * 256 + length(nodes) / 32 AS size
FROM seal.tiles WHERE level = 0 ORDER BY place DESC LIMIT 1;

-- name: log_bounds
-- The first position and the last one, whatever the head says.
SELECT min(notification_id) AS first, max(notification_id) AS last FROM events.daybook_events;

-- name: put_tiles
-- The last tile of a level is replaced by a longer one.
INSERT INTO seal.tiles (level, place, nodes)
SELECT level, place, nodes
FROM unnest($1::smallint[], $2::bigint[], $3::bytea[]) AS grown (level, place, nodes)
ON CONFLICT ON CONSTRAINT tiles_pkey DO UPDATE SET nodes = excluded.nodes;

-- name: add_checkpoint
-- Only ever added; in the transaction of its tiles.
INSERT INTO seal.checkpoints (size, note) VALUES ($1, $2);

-- name: latest_checkpoint
-- What every proof is given for.
SELECT size, note FROM seal.checkpoints ORDER BY size DESC LIMIT 1;

-- name: checkpoints_after
-- Page by page, the smallest first.
SELECT size, note FROM seal.checkpoints WHERE size > $1 ORDER BY size LIMIT $2;

-- name: secret
-- For the salts of leaves that are made outside of PostgreSQL.
SELECT secret FROM seal.secret;

-- name: stream
-- A transaction's own events, as they are stored.
SELECT notification_id, originator_id, originator_version, topic, state
FROM events.daybook_events WHERE originator_id = $1 ORDER BY originator_version LIMIT $2;

-- name: guards
-- The triggers that keep the log as it is, and what they call.
SELECT t.tgenabled = 'A' AS enabled, t.tgtype AS events, p.prosrc AS source
FROM pg_catalog.pg_trigger AS t
INNER JOIN pg_catalog.pg_proc AS p ON t.tgfoid = p.oid
WHERE
    t.tgrelid = 'events.daybook_events'::regclass
    AND t.tgname = 'daybook_events_immutable';

-- name: excessive_rights
-- Whoever may do more to the log than to read it, or as the writer to add to it, and is not its
-- owner; and every role of ours that no right could stop.
SELECT
    coalesce(r.rolname, 'PUBLIC') AS role,
    string_agg(DISTINCT acl.privilege_type, ', ' ORDER BY acl.privilege_type) AS rights
FROM pg_catalog.pg_class AS c
CROSS JOIN aclexplode(c.relacl) AS acl
LEFT JOIN pg_catalog.pg_roles AS r ON acl.grantee = r.oid
WHERE
    c.oid = 'events.daybook_events'::regclass
    AND acl.grantee <> c.relowner
    AND acl.privilege_type <> 'SELECT'
    AND NOT (coalesce(r.rolname, 'PUBLIC') = 'daybook_writer' AND acl.privilege_type = 'INSERT')
GROUP BY r.rolname
UNION ALL
SELECT
    rolname AS role,
    'SUPERUSER' AS rights
FROM pg_catalog.pg_roles
WHERE starts_with(rolname, 'daybook_') AND rolsuper
ORDER BY role;

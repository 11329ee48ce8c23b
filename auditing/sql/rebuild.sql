-- name: lock_rebuild
-- Two rebuilds would drop each other's tables. The lock ends with the session of a killed one.
SELECT pg_try_advisory_lock(hashtext('daybook.cli.rebuild'));

-- name: create_statements
-- The live tables are the definition, so that migrations stay the only source. Indexes and keys
-- follow once the rows are there. What LIKE leaves out is the storage options and the rights.
WITH live AS (
    SELECT c.oid, c.relname, c.reloptions, c.relacl, c.relowner
    FROM pg_class AS c
    WHERE c.oid = ANY($1::text[]::regclass[])
)

SELECT made.statement
FROM live
CROSS JOIN
    LATERAL (
        SELECT
            0 AS step,
            format(
                'CREATE TABLE read_rebuilt.%I (LIKE read.%I INCLUDING ALL EXCLUDING INDEXES)',
                live.relname, live.relname
            ) AS statement
        UNION ALL
        SELECT
            1 AS step,
            format(
                'ALTER TABLE read_rebuilt.%I SET (%s)',
                live.relname, array_to_string(live.reloptions, ', ')
            ) AS statement
        WHERE live.reloptions IS NOT NULL
        UNION ALL
        SELECT
            1 + granted.place AS step,
            format(
                'GRANT %s ON read_rebuilt.%I TO %I', granted.privilege_type, live.relname, r.rolname
            ) AS statement
        FROM
            aclexplode(live.relacl) WITH ORDINALITY
                AS granted (grantor, grantee, privilege_type, is_grantable, place)
        INNER JOIN pg_roles AS r ON granted.grantee = r.oid
        WHERE granted.grantee <> live.relowner
    ) AS made
ORDER BY made.step, live.relname;

-- name: index_statements
-- With the names of the live ones, because queries and folds use some of them. The biggest tables
-- come first, so that two builders end at the same time.
SELECT
    regexp_replace(
        pg_get_indexdef(i.indexrelid),
        format(' ON read\.%I ', c.relname),
        format(' ON read_rebuilt.%I ', c.relname)
    ) AS index_statement,
    CASE
        WHEN k.oid IS NOT NULL
            THEN
                format(
                    'ALTER TABLE read_rebuilt.%I ADD CONSTRAINT %I %s USING INDEX %I',
                    c.relname,
                    k.conname,
                    CASE k.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END,
                    k.conname
                )
    END AS constraint_statement
FROM pg_index AS i
INNER JOIN pg_class AS c ON i.indrelid = c.oid
INNER JOIN pg_class AS x ON i.indexrelid = x.oid
LEFT JOIN pg_constraint AS k ON i.indexrelid = k.conindid AND k.contype IN ('p', 'u')
WHERE c.oid = ANY($1::text[]::regclass[])
ORDER BY pg_relation_size(c.oid) DESC, pg_relation_size(x.oid) DESC, x.relname;

-- name: build_with_memory
-- For this session: a sort in memory is several times as fast as one on disk.
SELECT set_config('maintenance_work_mem', '256MB', FALSE);

-- name: comparison_statements
-- Rows with equal keys, byte by byte: `*<>` compares the stored images, not the values.
SELECT
    c.relname AS table_name,
    format(
        'SELECT count(*) OVER () AS differing, live::text AS live, built::text AS built'
        ' FROM read.%I AS live FULL JOIN read_rebuilt.%I AS built ON %s'
        ' WHERE live.%I IS NULL OR built.%I IS NULL OR live *<> built LIMIT $1',
        c.relname, c.relname,
        string_agg(format('live.%I = built.%I', a.attname, a.attname), ' AND ' ORDER BY k.place),
        min(a.attname), min(a.attname)
    ) AS statement
FROM pg_index AS i
INNER JOIN pg_class AS c ON i.indrelid = c.oid
CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, place)
INNER JOIN pg_attribute AS a ON i.indrelid = a.attrelid AND k.number = a.attnum
WHERE i.indisprimary AND c.oid = ANY($1::text[]::regclass[])
GROUP BY c.relname
ORDER BY c.relname;

-- name: swap_statements
-- Once a table has moved, every prepared statement looks its name up again.
SELECT
    format('LOCK TABLE read.%I IN SHARE UPDATE EXCLUSIVE MODE', c.relname) AS keep_statement,
    format('LOCK TABLE read.%I IN ACCESS EXCLUSIVE MODE', c.relname) AS lock_statement,
    format('ALTER TABLE read.%I SET SCHEMA read_replaced', c.relname) AS away_statement,
    format('ALTER TABLE read_rebuilt.%I SET SCHEMA read', c.relname) AS in_statement
FROM pg_class AS c
WHERE c.oid = ANY($1::text[]::regclass[])
ORDER BY c.relname;

-- name: open_snapshots
-- Snapshots from before the last rows were committed. Their readers must not find the new tables,
-- in which those rows would be missing. The projector waits for the checkpoint that we hold, and
-- will read with a newer snapshot.
SELECT a.pid, a.xact_start
FROM pg_stat_activity AS a
WHERE
    a.datname = current_database() AND a.backend_type = 'client backend'
    AND a.backend_xmin IS NOT NULL AND a.pid <> ALL($1::int[])
    AND NOT pg_blocking_pids(a.pid) && $1::int[];

-- name: limit_lock_wait
-- For this transaction only, in milliseconds.
SELECT set_config('lock_timeout', $1::text, TRUE);

-- name: record_rebuild
-- In the transaction of the swap: who, when, and what was different.
INSERT INTO read.rebuilds (
    rebuild_id, rebuilt_by, position, row_count, differing, differences, started_at, swapped_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

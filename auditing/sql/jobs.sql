-- name: request_reconciliation
-- Over HTTP a ledger has one at a time: another request gets the one that is under way.
INSERT INTO read.reconciliations (
    reconciliation_id, done_by, status, ledger, account_id, start_at, end_at, asked_at,
    updated_at, position, events_read, entries_compared, balances_compared, discrepancy_count
) VALUES ($1, $2, 'queued', $3, $4, $5, $6, $7, $7, 0, 0, 0, 0, 0)
ON CONFLICT (ledger) WHERE done_by = 'worker' AND status IN ('queued', 'running') DO NOTHING;

-- name: record_reconciliation
-- The report of a reconciliation that was done at once, also of a clean one.
INSERT INTO read.reconciliations (
    reconciliation_id, done_by, status, ledger, account_id, start_at, end_at, asked_at, updated_at,
    started_at, finished_at, position, target, events_read, entries_compared, balances_compared,
    discrepancy_count, kinds
) VALUES (
    $1, 'caller', 'finished', $2, $3, $4, $5, $6, $7, $6, $7, $8, $8, $9, $10, $11, $12, $13
);

-- name: reconciliation_under_way
-- Found by the index that allows no second one.
SELECT reconciliation_id FROM read.reconciliations
WHERE ledger = $1 AND done_by = 'worker' AND status IN ('queued', 'running');

-- name: queued_reconciliations
-- Oldest first, with those of processes that died: another process resumes them.
SELECT reconciliation_id FROM read.reconciliations
WHERE done_by = 'worker' AND status IN ('queued', 'running')
ORDER BY number
LIMIT $1;

-- name: try_take_reconciliation
-- The lock is the session's: when a process is killed, it is released at once.
SELECT pg_try_advisory_lock(hashtextextended('daybook.reconciliation.' || $1::text, 0));

-- name: let_go_of_reconciliation
-- The counterpart of try_take_reconciliation.
SELECT pg_advisory_unlock(hashtextextended('daybook.reconciliation.' || $1::text, 0));

-- name: reconciliation
-- One reconciliation of any ledger; the caller checks who may see it.
SELECT
    reconciliation_id, number, done_by, status, ledger, account_id, start_at, end_at, asked_at,
    started_at, updated_at, finished_at, position, target, events_read, entries_compared,
    balances_compared, discrepancy_count, kinds, failure
FROM read.reconciliations
WHERE reconciliation_id = $1;

-- name: reconciliations
-- Those of a ledger, newest first, before a number.
SELECT
    reconciliation_id, number, done_by, status, ledger, account_id, start_at, end_at, asked_at,
    started_at, updated_at, finished_at, position, target, events_read, entries_compared,
    balances_compared, discrepancy_count, kinds, failure
FROM read.reconciliations
WHERE ledger = $1 AND number < $2
ORDER BY number DESC
LIMIT $3;

-- name: history
-- The finished ones of an account, newest first, each with its first discrepancies.
SELECT
    r.reconciliation_id, r.number, r.account_id, r.start_at, r.end_at, r.position, r.events_read,
    r.entries_compared, r.balances_compared, r.discrepancy_count, r.started_at, r.finished_at,
    coalesce((
        SELECT json_agg(json_strip_nulls(to_json(d)) ORDER BY d.id)
        FROM (
            SELECT
                k.id, k.kind, k.position, k.expected, k.actual, k.explanation, k.ledger,
                k.account_id, k.transaction_id, k.view
            FROM read.discrepancies AS k
            WHERE k.reconciliation_id = r.reconciliation_id
            ORDER BY k.id
            LIMIT $5
        ) AS d
    )::text, '[]') AS discrepancies
FROM read.reconciliations AS r
WHERE r.ledger = $1 AND r.account_id = $2 AND r.number < $3 AND r.status = 'finished'
ORDER BY r.number DESC
LIMIT $4;

-- name: discrepancies
-- Those of a run by id; of one kind, account and ledger, if they are given.
SELECT
    id, kind, view, ledger, account_id, transaction_id, position, expected, actual, explanation,
    found_at
FROM read.discrepancies
WHERE
    reconciliation_id = $1 AND id > $2
    AND ($3::text IS NULL OR kind = $3)
    AND ($4::text IS NULL OR account_id = $4)
    AND ($5::text IS NULL OR ledger = $5 OR kind = 'position_gap')
ORDER BY id
LIMIT $6;

-- name: counted_discrepancies
-- The stored discrepancies of one ledger, in a run that is about all ledgers.
SELECT kind, count(*) AS times FROM read.discrepancies
WHERE reconciliation_id = $1 AND (ledger = $2 OR kind = 'position_gap')
GROUP BY kind;

-- name: order_discrepancies
-- Held until the commit by a process that adds discrepancies, so that ids appear in order.
SELECT pg_advisory_xact_lock(hashtext('daybook.discrepancies'));

-- name: add_discrepancies
-- In the order in which they were found.
INSERT INTO read.discrepancies (
    reconciliation_id, kind, view, ledger, account_id, transaction_id, position, expected, actual,
    explanation, found_at
)
SELECT
    $1 AS reconciliation_id, found.kind, coalesce(found.view, '') AS view, found.ledger,
    found.account_id, found.transaction_id, found.position, found.expected, found.actual,
    found.explanation, now() AS found_at
FROM json_populate_recordset(NULL::read.discrepancies, $2::json) AS found;

-- name: update_reconciliation
-- The progress and counts of a run, and its status.
UPDATE read.reconciliations
SET
    status = $2, position = $3, target = $4, events_read = $5, entries_compared = $6,
    balances_compared = $7, discrepancy_count = $8, kinds = $9, failure = $10,
    updated_at = clock_timestamp(),
    started_at = coalesce(started_at, clock_timestamp()),
    finished_at = CASE WHEN $2 IN ('finished', 'failed') THEN clock_timestamp() END
WHERE reconciliation_id = $1 AND status IN ('queued', 'running');

-- name: put_place
-- The progress from which another process resumes after a crash.
INSERT INTO read.places (reconciliation_id, place) VALUES ($1, $2)
ON CONFLICT ON CONSTRAINT places_pkey DO UPDATE SET place = excluded.place;

-- name: place
-- The progress of a run that was stored last.
SELECT place FROM read.places WHERE reconciliation_id = $1;

-- name: remove_place
-- A run that has ended is not resumed.
DELETE FROM read.places WHERE reconciliation_id = $1;

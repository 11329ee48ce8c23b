-- name: ask_reconciliation
-- One at a time for each ledger over HTTP: whoever asks again is told of the one under way.
INSERT INTO read.reconciliations (
    reconciliation_id, done_by, status, ledger, account_id, start_at, end_at, asked_at,
    updated_at, position, events_read, entries_compared, balances_compared, discrepancy_count
) VALUES ($1, $2, 'queued', $3, $4, $5, $6, $7, $7, 0, 0, 0, 0, 0)
ON CONFLICT (ledger) WHERE done_by = 'worker' AND status IN ('queued', 'running') DO NOTHING;

-- name: record_reconciliation
-- What was compared and found at once stays, also when it was clean.
INSERT INTO read.reconciliations (
    reconciliation_id, done_by, status, ledger, account_id, start_at, end_at, asked_at, updated_at,
    started_at, finished_at, position, target, events_read, entries_compared, balances_compared,
    discrepancy_count, kinds
) VALUES (
    $1, 'caller', 'finished', $2, $3, $4, $5, $6, $7, $6, $7, $8, $8, $9, $10, $11, $12, $13
);

-- name: reconciliation_under_way
-- Found by the index that lets there be no second one.
SELECT reconciliation_id FROM read.reconciliations
WHERE ledger = $1 AND done_by = 'worker' AND status IN ('queued', 'running');

-- name: queued_reconciliations
-- Those that were begun by a process that died are as good as new ones; the oldest first.
SELECT reconciliation_id FROM read.reconciliations
WHERE done_by = 'worker' AND status IN ('queued', 'running')
ORDER BY number
LIMIT $1;

-- name: try_take_reconciliation
-- Held as long as the session lives: a process that is killed lets go of it at once.
SELECT pg_try_advisory_lock(hashtextextended('daybook.reconciliation.' || $1::text, 0));

-- name: let_go_of_reconciliation
-- The counterpart of try_take_reconciliation.
SELECT pg_advisory_unlock(hashtextextended('daybook.reconciliation.' || $1::text, 0));

-- name: reconciliation
-- One, whatever it is about; who may see it is the caller's to check.
SELECT
    reconciliation_id, number, done_by, status, ledger, account_id, start_at, end_at, asked_at,
    started_at, updated_at, finished_at, position, target, events_read, entries_compared,
    balances_compared, discrepancy_count, kinds, failure
FROM read.reconciliations
WHERE reconciliation_id = $1;

-- name: reconciliations
-- A ledger's, newest first, before a number.
SELECT
    reconciliation_id, number, done_by, status, ledger, account_id, start_at, end_at, asked_at,
    started_at, updated_at, finished_at, position, target, events_read, entries_compared,
    balances_compared, discrepancy_count, kinds, failure
FROM read.reconciliations
WHERE ledger = $1 AND number < $2
ORDER BY number DESC
LIMIT $3;

-- name: history
-- An account's finished ones, newest first, each with its first discrepancies.
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
-- A run's by id, of one kind, one account and one ledger if they are named.
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
-- A ledger's kept discrepancies of a run that is about all ledgers.
SELECT kind, count(*) AS times FROM read.discrepancies
WHERE reconciliation_id = $1 AND (ledger = $2 OR kind = 'position_gap')
GROUP BY kind;

-- name: order_discrepancies
-- Held to the commit by whoever adds discrepancies, so that their ids appear in order.
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
-- How far it is, and what it has counted; a status of its own when it begins and ends.
UPDATE read.reconciliations
SET
    status = $2, position = $3, target = $4, events_read = $5, entries_compared = $6,
    balances_compared = $7, discrepancy_count = $8, kinds = $9, failure = $10,
    updated_at = clock_timestamp(),
    started_at = coalesce(started_at, clock_timestamp()),
    finished_at = CASE WHEN $2 IN ('finished', 'failed') THEN clock_timestamp() END
WHERE reconciliation_id = $1 AND status IN ('queued', 'running');

-- name: put_place
-- Whoever goes on after a crash goes on here.
INSERT INTO read.places (reconciliation_id, place) VALUES ($1, $2)
ON CONFLICT ON CONSTRAINT places_pkey DO UPDATE SET place = excluded.place;

-- name: place
-- Where a run stood when it was kept last.
SELECT place FROM read.places WHERE reconciliation_id = $1;

-- name: remove_place
-- What has ended needs none.
DELETE FROM read.places WHERE reconciliation_id = $1;

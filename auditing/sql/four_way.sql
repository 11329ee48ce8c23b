-- name: balances_of_ledger
-- By key, a page at a time, so that memory stays bounded by the replayed state.
SELECT
    b.account_id, b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending,
    a.currency
FROM read.balances AS b
LEFT JOIN read.accounts AS a ON b.ledger = a.ledger AND b.account_id = a.account_id
WHERE b.ledger = $1 AND b.account_id > $2
ORDER BY b.account_id
LIMIT $3;

-- name: entries_of_accounts_summed
-- The sums of posted entries of a range of accounts, found by the key of entries.
SELECT e.account_id, e.currency, e.side, count(*) AS movements, sum(e.amount) AS amount
FROM read.entries AS e
WHERE
    e.ledger = $1 AND e.kind = 'posted' AND e.account_id > $2
    AND ($3::text IS NULL OR e.account_id <= $3)
GROUP BY e.account_id, e.currency, e.side;

-- name: last_statements
-- How the last statement of each account closed.
SELECT DISTINCT ON (s.account_id) s.account_id, s.currency, s.ends_on, s.closing
FROM external.statements AS s
WHERE s.ledger = $1 AND s.ends_on IS NOT NULL
ORDER BY s.account_id ASC, s.ends_on DESC, s.statement_number DESC;

-- name: covered_days
-- The days that the statements of each account cover, as periods without overlap.
SELECT c.account_id, lower(period.days) AS starts_on, upper(period.days) - 1 AS ends_on
FROM (
    SELECT
        s.account_id,
        -- A statement without lines may be dated before its period.
        range_agg(daterange(least(s.starts_on, s.ends_on), s.ends_on, '[]')) AS days
    FROM external.statements AS s
    WHERE s.ledger = $1 AND s.ends_on IS NOT NULL
    GROUP BY s.account_id
) AS c
CROSS JOIN unnest(c.days) AS period (days)
ORDER BY c.account_id, lower(period.days);

-- name: request_four_way
-- One row for each ledger: while it is under way, another request changes nothing.
INSERT INTO read.four_ways AS f (ledger, status, asked_at, updated_at)
VALUES ($1, 'queued', now(), now())
ON CONFLICT ON CONSTRAINT four_ways_pkey DO UPDATE SET
    status = 'queued', asked_at = now(), started_at = NULL, updated_at = now(), finished_at = NULL,
    position = 0, target = 0, failure = NULL
WHERE f.status NOT IN ('queued', 'running');

-- name: four_way
-- The status and the last report.
SELECT
    ledger, status, position, target, asked_at, started_at, updated_at, finished_at, failure, report
FROM read.four_ways WHERE ledger = $1;

-- name: queued_four_ways
-- With those of processes that died: another process begins them again.
SELECT ledger FROM read.four_ways
WHERE status IN ('queued', 'running') ORDER BY asked_at LIMIT $1;

-- name: begin_four_way
-- The log is replayed from the beginning, also after a process that died.
UPDATE read.four_ways SET status = 'running', started_at = now(), updated_at = now()
WHERE ledger = $1 AND status IN ('queued', 'running')
RETURNING TRUE;

-- name: move_four_way
-- The progress, for clients that wait.
UPDATE read.four_ways SET position = $2, target = $3, updated_at = now()
WHERE ledger = $1 AND status = 'running';

-- name: end_four_way
-- A failure leaves the last report as it is.
UPDATE read.four_ways
SET
    status = $2, report = coalesce($3, report), failure = $4, updated_at = now(),
    finished_at = now()
WHERE ledger = $1 AND status = 'running';

-- name: last_closing
-- A ledger's last closing up to a position, from the log, because read.books holds the latest only.
SELECT notification_id, originator_id, originator_version, topic, state
FROM events.daybook_events
WHERE originator_id = $1 AND notification_id <= $2
ORDER BY originator_version DESC
LIMIT 1;

-- name: statement_totals
-- Sums of entries that were posted between two positions; $5 includes those that were dated back.
SELECT side, count(*) AS entries, sum(amount) AS amount
FROM read.entries
WHERE
    ledger = $1 AND account_id = $2 AND position > $3 AND position <= $4 AND kind = 'posted'
    AND ($5 OR effective_at IS NULL)
GROUP BY side;

-- name: statement_totals_dated_back
-- Sums of entries that were dated back into a period, up to a position. Only posted entries can be.
SELECT side, count(*) AS entries, sum(amount) AS amount
FROM read.entries
WHERE
    ledger = $1 AND account_id = $2 AND effective_at >= $3 AND effective_at < $4
    AND position <= $5
GROUP BY side;

-- name: statement_entries
-- A page of posted entries, oldest first, by the entries' own key, up to a position; $6 includes
-- those that were dated back. The page is cut before its transactions are read.
WITH page AS MATERIALIZED (
    SELECT
        e.position, e.line, e.transaction_id, e.side, e.amount, e.recorded_at, e.effective_at
    FROM read.entries AS e
    WHERE
        e.ledger = $1 AND e.account_id = $2 AND (e.position, e.line) > ($3, $4)
        AND e.position <= $5 AND e.kind = 'posted' AND ($6 OR e.effective_at IS NULL)
    ORDER BY e.position, e.line
    LIMIT $7
)

SELECT
    page.position, page.line, page.transaction_id, page.side, page.amount, page.recorded_at,
    page.effective_at, t.kind, t.reference, t.description, t.source_account_id,
    t.destination_account_id, t.postings
FROM page
INNER JOIN events.daybook_events AS f
    ON page.transaction_id = f.originator_id AND f.originator_version = 1
INNER JOIN read.transactions AS t ON t.ledger = $1 AND f.notification_id = t.position
ORDER BY page.position, page.line;

-- name: statement_entries_dated_back
-- A page of entries that were dated back into a period, by effective time, up to a position.
WITH page AS MATERIALIZED (
    SELECT
        e.position, e.line, e.transaction_id, e.side, e.amount, e.recorded_at, e.effective_at
    FROM read.entries AS e
    WHERE
        e.ledger = $1 AND e.account_id = $2 AND e.effective_at < $3 AND e.position <= $4
        AND (e.effective_at, e.position, e.line) > ($5, $6, $7)
    ORDER BY e.effective_at, e.position, e.line
    LIMIT $8
)

SELECT
    page.position, page.line, page.transaction_id, page.side, page.amount, page.recorded_at,
    page.effective_at, t.kind, t.reference, t.description, t.source_account_id,
    t.destination_account_id, t.postings
FROM page
INNER JOIN events.daybook_events AS f
    ON page.transaction_id = f.originator_id AND f.originator_version = 1
INNER JOIN read.transactions AS t ON t.ledger = $1 AND f.notification_id = t.position
ORDER BY page.effective_at, page.position, page.line;

-- name: trial_balance_totals
-- The last entry of every account up to a position, each found in one step by the entries' key, and
-- the entries that were dated back later; summed by currency, type and class. $4 may be null: then
-- nothing was dated back. (Joining one sum of all that was dated back is a third faster, but very
-- slow when the planner expects only a few rows.)
SELECT
    a.currency, a.account_type, a.account_class,
    sum(coalesce(e.debits_posted, 0) + coalesce(d.debits, 0)) AS debits_posted,
    sum(coalesce(e.credits_posted, 0) + coalesce(d.credits, 0)) AS credits_posted,
    coalesce(sum(e.debits_pending), 0) AS debits_pending,
    coalesce(sum(e.credits_pending), 0) AS credits_pending
FROM read.accounts AS a
LEFT JOIN LATERAL (
    SELECT l.debits_posted, l.credits_posted, l.debits_pending, l.credits_pending
    FROM read.entries AS l
    WHERE l.ledger = a.ledger AND l.account_id = a.account_id AND l.position <= $2
    ORDER BY l.position DESC, l.line DESC
    LIMIT 1
) AS e ON TRUE
LEFT JOIN LATERAL (
    SELECT
        sum(b.amount) FILTER (WHERE b.side = 'debit') AS debits,
        sum(b.amount) FILTER (WHERE b.side = 'credit') AS credits, count(*) AS entries
    FROM read.entries AS b
    WHERE
        b.ledger = a.ledger AND b.account_id = a.account_id AND b.position > $2
        AND b.position <= $3 AND b.effective_at < $4
) AS d ON TRUE
WHERE
    a.ledger = $1 AND ($5::text IS NULL OR a.currency = $5)
    AND (e.debits_posted IS NOT NULL OR d.entries > 0)
GROUP BY a.currency, a.account_type, a.account_class
ORDER BY a.currency, a.account_type, a.account_class;

-- name: trial_balance_accounts
-- A page of the same, account by account, by the accounts' key; the cursor is the last id before
-- it.
SELECT
    a.account_id, a.currency, a.account_type, a.account_class, a.normal_side,
    coalesce(e.debits_posted, 0) + coalesce(d.debits, 0) AS debits_posted,
    coalesce(e.credits_posted, 0) + coalesce(d.credits, 0) AS credits_posted,
    coalesce(e.debits_pending, 0) AS debits_pending,
    coalesce(e.credits_pending, 0) AS credits_pending
FROM read.accounts AS a
LEFT JOIN LATERAL (
    SELECT l.debits_posted, l.credits_posted, l.debits_pending, l.credits_pending
    FROM read.entries AS l
    WHERE l.ledger = a.ledger AND l.account_id = a.account_id AND l.position <= $2
    ORDER BY l.position DESC, l.line DESC
    LIMIT 1
) AS e ON TRUE
LEFT JOIN LATERAL (
    SELECT
        sum(b.amount) FILTER (WHERE b.side = 'debit') AS debits,
        sum(b.amount) FILTER (WHERE b.side = 'credit') AS credits, count(*) AS entries
    FROM read.entries AS b
    WHERE
        b.ledger = a.ledger AND b.account_id = a.account_id AND b.position > $2
        AND b.position <= $3 AND b.effective_at < $4
) AS d ON TRUE
WHERE
    a.ledger = $1 AND ($5::text IS NULL OR a.currency = $5) AND a.account_id > $6
    AND (e.debits_posted IS NOT NULL OR d.entries > 0)
ORDER BY a.account_id
LIMIT $7;

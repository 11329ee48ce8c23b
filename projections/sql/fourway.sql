-- name: balances_of_ledger
-- By key, a page at a time, so that memory stays bounded by the auditor's own books.
SELECT
    b.account_id, b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending,
    a.currency
FROM read.balances AS b
LEFT JOIN read.accounts AS a ON b.ledger = a.ledger AND b.account_id = a.account_id
WHERE b.ledger = $1 AND b.account_id > $2
ORDER BY b.account_id
LIMIT $3;

-- name: entries_of_accounts_summed
-- What was posted to some accounts, from the entries themselves: their key leads to them.
SELECT e.account_id, e.currency, e.side, count(*) AS movements, sum(e.amount) AS amount
FROM read.entries AS e
WHERE
    e.ledger = $1 AND e.kind = 'posted' AND e.account_id > $2
    AND ($3::text IS NULL OR e.account_id <= $3)
GROUP BY e.account_id, e.currency, e.side;

-- name: last_statements
-- Of each account, the days that its statements cover, and how the last of them closed.
SELECT DISTINCT ON (s.account_id)
    s.account_id, s.currency, s.ends_on, s.closing, s.statement_id,
    min(s.starts_on) OVER (PARTITION BY s.account_id) AS starts_on
FROM external.statements AS s
WHERE s.ledger = $1 AND s.ends_on IS NOT NULL
ORDER BY s.account_id ASC, s.ends_on DESC, s.statement_number DESC;

-- name: transaction
-- By id, which the idempotency key gives, too: as its first event says it, and how it stands now.
-- The log leads to it: its first event is at the transaction's own position.
SELECT
    t.transaction_id, t.position, t.idempotency_key, t.kind,
    coalesce(s.stage, t.stage) AS status, coalesce(s.code, t.code) AS code,
    coalesce(s.detail, t.detail) AS detail, t.source_account_id, t.destination_account_id,
    t.amount, t.currency, t.postings, t.description, t.reference, t.metadata, t.rate, t.about,
    t.due_at, t.effective_at, t.recorded_at, s.used, s.position AS changed_position, s.changed_at
FROM events.daybook_events AS f
INNER JOIN read.transactions AS t ON t.ledger = $2 AND f.notification_id = t.position
LEFT JOIN read.standings AS s ON t.transaction_id = s.transaction_id
WHERE f.originator_id = $1 AND f.originator_version = 1 AND t.transaction_id = $1;

-- name: related
-- What refers to a transaction, newest first.
SELECT t.transaction_id, t.kind, coalesce(s.stage, t.stage) AS status
FROM read.transactions AS t
LEFT JOIN read.standings AS s ON t.transaction_id = s.transaction_id
WHERE t.about = $1 AND t.ledger = $2
ORDER BY t.position DESC
LIMIT $3;

-- name: submitted
-- Is it in the log, though not yet projected? The log's primary key knows.
SELECT EXISTS(
    SELECT 1 FROM events.daybook_events WHERE originator_id = $1 AND originator_version = 1
);

-- name: transaction_entries
-- No index on the transaction: its events are in the log under its id, and lead to its entries by
-- their positions.
SELECT e.account_id, e.position, e.line, e.kind, e.side, e.amount, e.currency
FROM events.daybook_events AS s
INNER JOIN read.entries AS e ON e.ledger = $2 AND s.notification_id = e.position
WHERE s.originator_id = $1
ORDER BY e.position, e.line;

-- name: account
-- Policy and counters at once; an account always has both.
SELECT
    a.account_id, a.account_class, a.account_type, a.currency, a.normal_side, a.overdraft_limit,
    a.status, a.version, a.metadata, a.opened_at, b.debits_posted, b.credits_posted,
    b.debits_pending, b.credits_pending, b.position, b.as_of
FROM read.accounts AS a
INNER JOIN read.balances AS b ON a.ledger = b.ledger AND a.account_id = b.account_id
WHERE a.ledger = $1 AND a.account_id = $2;

-- name: books
-- No row means that the ledger's books were never closed.
SELECT closed_before, position FROM read.books WHERE ledger = $1;

-- name: transaction
-- By id, which the idempotency key gives, too.
SELECT
    transaction_id, ledger, position, idempotency_key, kind, status, code, detail,
    source_account_id, destination_account_id, amount, currency, description, metadata, refund_of,
    refunded, recorded_at
FROM read.transactions WHERE transaction_id = $1 AND ledger = $2;

-- name: submitted
-- Is it in the log, though not yet projected? The log's primary key knows.
SELECT EXISTS(
    SELECT 1 FROM events.daybook_events WHERE originator_id = $1 AND originator_version = 1
);

-- name: transactions
-- Newest first, by position; the cursor is the last position seen.
SELECT
    transaction_id, ledger, position, idempotency_key, kind, status, code, detail,
    source_account_id, destination_account_id, amount, currency, description, metadata, refund_of,
    refunded, recorded_at
FROM read.transactions
WHERE ledger = $1 AND position < $2
ORDER BY position DESC
LIMIT $3;

-- name: transaction_entries
-- No index on the transaction: its position and its accounts lead to its entries by their key.
SELECT account_id, line, side, amount, currency
FROM read.entries
WHERE ledger = $1 AND account_id = ANY($2::text[]) AND position = $3
ORDER BY line;

-- name: account
-- Policy and counters at once; an account always has both.
SELECT
    a.account_id, a.account_class, a.currency, a.normal_side, a.overdraft_limit, a.status,
    a.opened_at, b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending,
    b.position, b.as_of
FROM read.accounts AS a
INNER JOIN read.balances AS b ON a.ledger = b.ledger AND a.account_id = b.account_id
WHERE a.ledger = $1 AND a.account_id = $2;

-- name: ledger
-- Newest first, by the entries' own key; the cursor is the last (position, line) seen.
SELECT position, line, transaction_id, side, amount, currency, balance, recorded_at
FROM read.entries
WHERE ledger = $1 AND account_id = $2 AND (position, line) < ($3, $4)
ORDER BY position DESC, line DESC
LIMIT $5;

-- name: audit_trail
-- Everything in the log that concerns an account, refusals included, newest first. Each branch
-- reads at most a page from its own index, and only the page's events are fetched from the log.
WITH positions AS (
    (
        SELECT e.position FROM read.entries AS e
        WHERE e.ledger = $1 AND e.account_id = $2 AND e.position < $3
        ORDER BY e.position DESC
        LIMIT $4
    )
    UNION
    (
        SELECT t.position FROM read.transactions AS t
        WHERE
            t.ledger = $1 AND t.source_account_id = $2 AND t.status = 'FAILED'
            AND t.position < $3
        ORDER BY t.position DESC
        LIMIT $4
    )
    UNION
    (
        SELECT t.position FROM read.transactions AS t
        WHERE
            t.ledger = $1 AND t.destination_account_id = $2 AND t.status = 'FAILED'
            AND t.position < $3
        ORDER BY t.position DESC
        LIMIT $4
    )
    UNION
    (
        SELECT s.notification_id FROM events.daybook_events AS s
        WHERE
            s.originator_id = $5 AND s.notification_id < $3 AND s.notification_id <= (
                SELECT c.position FROM events.checkpoints AS c WHERE c.reader = 'projector'
            )
        ORDER BY s.notification_id DESC
        LIMIT $4
    )
)

SELECT
    e.notification_id, e.originator_id, e.originator_version, e.topic, e.state
FROM positions AS p
INNER JOIN events.daybook_events AS e ON p.position = e.notification_id
ORDER BY e.notification_id DESC
LIMIT $4;

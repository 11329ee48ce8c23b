-- name: entries_between
-- A range of positions, found through the block range index.
SELECT
    ledger, account_id, position, line, transaction_id, side, amount, currency, balance,
    recorded_at
FROM read.entries
WHERE position > $1 AND position <= $2;

-- name: account_entries_between
-- One account's entries by its own key: a page of its events may span most of the log.
SELECT
    ledger, account_id, position, line, transaction_id, side, amount, currency, balance,
    recorded_at
FROM read.entries
WHERE
    ledger = $3 AND account_id = $4 AND position > $1 AND position <= $2
    AND ($5::timestamptz IS NULL OR recorded_at >= $5)
    AND ($6::timestamptz IS NULL OR recorded_at < $6);

-- name: transactions_between
-- As entries_between.
SELECT
    transaction_id, ledger, position, idempotency_key, kind, status, code, source_account_id,
    destination_account_id, amount, currency, description, metadata, refund_of, recorded_at
FROM read.transactions WHERE position > $1 AND position <= $2;

-- name: all_balances
-- By key, a page at a time, so that memory stays bounded by the auditor's own books.
SELECT
    ledger, account_id, normal_side, debits_posted, credits_posted, debits_pending,
    credits_pending, position, as_of
FROM read.balances
WHERE (ledger, account_id) > ($1, $2)
ORDER BY ledger, account_id
LIMIT $3;

-- name: all_accounts
-- As all_balances.
SELECT ledger, account_id, account_class, currency, normal_side, overdraft_limit, status
FROM read.accounts
WHERE (ledger, account_id) > ($1, $2)
ORDER BY ledger, account_id
LIMIT $3;

-- name: all_command_accounts
-- The command side's own rows are a view of the log like any other.
SELECT
    ledger, account_id, account_class, currency, normal_side, overdraft_limit, status, version,
    debits_posted, credits_posted, debits_pending, credits_pending
FROM command.accounts
WHERE (ledger, account_id) > ($1, $2)
ORDER BY ledger, account_id
LIMIT $3;

-- name: all_refunded
-- Of the read model, by its key.
SELECT transaction_id, refunded
FROM read.transactions
WHERE refunded != 0 AND transaction_id > $1
ORDER BY transaction_id
LIMIT $2;

-- name: all_command_refunded
-- Of the command side, by its key.
SELECT transaction_id, refunded
FROM command.refunds
WHERE transaction_id > $1
ORDER BY transaction_id
LIMIT $2;

-- name: account_balance
-- One account, for a reconciliation of just that.
SELECT
    ledger, account_id, normal_side, debits_posted, credits_posted, debits_pending,
    credits_pending, position, as_of
FROM read.balances WHERE ledger = $1 AND account_id = $2;

-- name: record_reconciliation
-- What was compared and found stays, also when it was clean.
INSERT INTO read.reconciliations (
    reconciliation_id, ledger, account_id, start_at, end_at, position, events_read,
    entries_compared, balances_compared, discrepancy_count, discrepancies, started_at, finished_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: history
-- Newest first.
SELECT
    reconciliation_id, account_id, start_at, end_at, position, events_read, entries_compared,
    balances_compared, discrepancy_count, discrepancies, started_at, finished_at
FROM read.reconciliations
WHERE ledger = $1 AND account_id = $2
ORDER BY finished_at DESC
LIMIT $3;

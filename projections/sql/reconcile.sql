-- name: entries_between
-- A range of positions, found through the block range index. In every query of a journal the
-- columns are those of the auditor's row, in the same order.
SELECT
    ledger, account_id, position, line, transaction_id, kind, side, amount, currency,
    debits_posted, credits_posted, debits_pending, credits_pending, recorded_at, effective_at
FROM read.entries
WHERE position > $1 AND position <= $2;

-- name: account_entries_between
-- One account's entries by its own key: a page of its events may span most of the log.
SELECT
    ledger, account_id, position, line, transaction_id, kind, side, amount, currency,
    debits_posted, credits_posted, debits_pending, credits_pending, recorded_at, effective_at
FROM read.entries
WHERE
    ledger = $3 AND account_id = $4 AND position > $1 AND position <= $2
    AND ($5::timestamptz IS NULL OR recorded_at >= $5)
    AND ($6::timestamptz IS NULL OR recorded_at < $6);

-- name: transactions_between
-- As entries_between.
SELECT
    transaction_id, ledger, position, idempotency_key, kind, stage, code, detail,
    source_account_id, destination_account_id, amount, currency, postings, description, reference,
    metadata, rate, about, due_at, effective_at, recorded_at
FROM read.transactions
WHERE position > $1 AND position <= $2;

-- name: mentions_between
-- As entries_between.
SELECT ledger, account_id, position
FROM read.mentions
WHERE position > $1 AND position <= $2;

-- name: account_mentions_between
-- As account_entries_between.
SELECT ledger, account_id, position
FROM read.mentions
WHERE ledger = $3 AND account_id = $4 AND position > $1 AND position <= $2;

-- name: moments_between
-- As entries_between.
SELECT recorded_at, position
FROM read.moments
WHERE position > $1 AND position <= $2;

-- name: all_balances
-- By key, a page at a time, so that memory stays bounded by the auditor's own books.
SELECT
    ledger, account_id, debits_posted, credits_posted, debits_pending, credits_pending, position,
    as_of
FROM read.balances
WHERE (ledger, account_id) > ($1, $2)
ORDER BY ledger, account_id
LIMIT $3;

-- name: all_accounts
-- As all_balances.
SELECT
    ledger, account_id, account_class, account_type, currency, normal_side, overdraft_limit,
    status, version, metadata, opened_at
FROM read.accounts
WHERE (ledger, account_id) > ($1, $2)
ORDER BY ledger, account_id
LIMIT $3;

-- name: all_standings
-- As all_balances.
SELECT transaction_id, stage, used, code, detail, position, changed_at
FROM read.standings
WHERE transaction_id > $1
ORDER BY transaction_id
LIMIT $2;

-- name: all_books
-- As all_balances.
SELECT ledger, closed_before, version, position
FROM read.books
WHERE ledger > $1
ORDER BY ledger
LIMIT $2;

-- name: all_command_accounts
-- The command side's own rows are a view of the log like any other.
SELECT
    ledger, account_id, account_class, account_type, currency, normal_side, overdraft_limit,
    status, version, metadata, debits_posted, credits_posted, debits_pending, credits_pending
FROM command.accounts
WHERE (ledger, account_id) > ($1, $2)
ORDER BY ledger, account_id
LIMIT $3;

-- name: all_command_standings
-- As all_balances.
SELECT transaction_id, stage, used, due_at
FROM command.standings
WHERE transaction_id > $1
ORDER BY transaction_id
LIMIT $2;

-- name: all_command_books
-- As all_balances.
SELECT ledger, closed_before, version
FROM command.books
WHERE ledger > $1
ORDER BY ledger
LIMIT $2;

-- name: account_balance
-- One account, for a reconciliation of just that.
SELECT
    ledger, account_id, debits_posted, credits_posted, debits_pending, credits_pending, position,
    as_of
FROM read.balances WHERE ledger = $1 AND account_id = $2;

-- name: account_policy
-- As account_balance.
SELECT
    ledger, account_id, account_class, account_type, currency, normal_side, overdraft_limit,
    status, version, metadata, opened_at
FROM read.accounts WHERE ledger = $1 AND account_id = $2;

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

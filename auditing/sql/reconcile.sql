-- name: entries_between
-- A range of positions, found through the block range index. In every query of a journal the
-- columns are those of the auditor's row, in the same order.
SELECT
    ledger, account_id, position, line, transaction_id, kind, side, amount, currency,
    debits_posted, credits_posted, debits_pending, credits_pending, recorded_at, effective_at
FROM read.entries
WHERE position > $1 AND position <= $2;

-- name: entries_as_text
-- The same rows in order as one text, which Python compares without decoding any column.
SELECT
    string_agg(
        row(
            ledger, account_id, position, line, transaction_id, kind, side, amount, currency,
            debits_posted, credits_posted, debits_pending, credits_pending, recorded_at,
            effective_at
        )::text, E'\n' ORDER BY position, line
    ) AS page
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

-- name: transactions_as_text
-- As entries_as_text.
SELECT
    string_agg(
        row(
            transaction_id, ledger, position, idempotency_key, kind, stage, code, detail,
            source_account_id, destination_account_id, amount, currency, postings, description,
            reference, metadata, rate, about, due_at, effective_at, recorded_at
        )::text, E'\n' ORDER BY position
    ) AS page
FROM read.transactions
WHERE position > $1 AND position <= $2;

-- name: plain_times
-- In this session, times as text are in UTC and ISO 8601, as `row_text.py` writes them.
SELECT
    set_config('timezone', 'UTC', FALSE) AS timezone,
    set_config('datestyle', 'ISO', FALSE) AS datestyle;

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
-- By key, a page at a time, so that memory stays bounded by the replayed state.
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
-- The command side's own rows are a view of the log like any other, each as of its position.
SELECT
    ledger, account_id, account_class, account_type, currency, normal_side, overdraft_limit,
    status, version, metadata, debits_posted, credits_posted, debits_pending, credits_pending,
    position
FROM command.accounts
WHERE (ledger, account_id) > ($1, $2)
ORDER BY ledger, account_id
LIMIT $3;

-- name: accounts_stored_after
-- The accounts to whose rows the tail of the log may add.
SELECT ledger, account_id, position FROM command.accounts WHERE position > $1;

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

-- name: balances_of_keys
-- The rows that the continuous reconciliation compares in this round.
SELECT
    b.ledger, b.account_id, b.debits_posted, b.credits_posted, b.debits_pending,
    b.credits_pending, b.position, b.as_of
FROM read.balances AS b
INNER JOIN unnest($1::text[], $2::text[]) AS wanted (ledger, account_id)
    ON b.ledger = wanted.ledger AND b.account_id = wanted.account_id;

-- name: accounts_of_keys
-- As balances_of_keys.
SELECT
    a.ledger, a.account_id, a.account_class, a.account_type, a.currency, a.normal_side,
    a.overdraft_limit, a.status, a.version, a.metadata, a.opened_at
FROM read.accounts AS a
INNER JOIN unnest($1::text[], $2::text[]) AS wanted (ledger, account_id)
    ON a.ledger = wanted.ledger AND a.account_id = wanted.account_id;

-- name: standings_of_keys
-- As balances_of_keys.
SELECT transaction_id, stage, used, code, detail, position, changed_at
FROM read.standings
WHERE transaction_id = ANY($1::uuid[]);

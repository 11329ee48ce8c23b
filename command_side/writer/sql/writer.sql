-- name: accounts
-- Read under the head's lock, so nobody can change them before this batch commits: no row locks.
SELECT
    a.ledger, a.account_id, a.account_class, a.account_type, a.currency, a.normal_side,
    a.overdraft_limit, a.metadata, a.status, a.version, a.debits_posted, a.credits_posted,
    a.debits_pending, a.credits_pending, a.position
FROM command.accounts AS a
INNER JOIN unnest($1::text[], $2::text[]) AS wanted (ledger, account_id)
    ON a.ledger = wanted.ledger AND a.account_id = wanted.account_id;

-- name: transaction_states
-- No row means that the transaction stands as its first event says.
SELECT transaction_id, stage, used, due_at
FROM command.standings WHERE transaction_id = ANY($1::uuid[]);

-- name: books
-- No row means that the ledger's books were never closed.
SELECT ledger, closed_before, version FROM command.books WHERE ledger = ANY($1::text[]);

-- name: put_accounts
-- Of new accounts, and of new policies. One statement and one parameter for any number of them;
-- what an account was opened as never changes.
INSERT INTO command.accounts (
    ledger, account_id, account_class, account_type, currency, normal_side, overdraft_limit,
    metadata, status, version, debits_posted, credits_posted, debits_pending, credits_pending,
    position
)
SELECT
    ledger, account_id, account_class, account_type, currency, normal_side, overdraft_limit,
    metadata, status, version, debits_posted, credits_posted, debits_pending, credits_pending,
    $2 AS position
FROM json_populate_recordset(NULL::command.accounts, $1::json)
ON CONFLICT ON CONSTRAINT accounts_pkey DO UPDATE SET
    overdraft_limit = excluded.overdraft_limit,
    metadata = excluded.metadata,
    status = excluded.status,
    version = excluded.version,
    debits_posted = excluded.debits_posted,
    credits_posted = excluded.credits_posted,
    debits_pending = excluded.debits_pending,
    credits_pending = excluded.credits_pending,
    position = excluded.position;

-- name: move_accounts
-- Most accounts are only moved, and of these only the counters change: no conflict to look for, and
-- fewer columns to read and to write.
UPDATE command.accounts AS a SET
    debits_posted = n.debits_posted,
    credits_posted = n.credits_posted,
    debits_pending = n.debits_pending,
    credits_pending = n.credits_pending,
    position = $2
FROM
    json_to_recordset($1::json)
        AS n (
            ledger text, account_id text, debits_posted numeric, credits_posted numeric,
            debits_pending numeric, credits_pending numeric
        )
WHERE a.ledger = n.ledger AND a.account_id = n.account_id;

-- name: put_transaction_states
-- Decided under the head's lock, on top of what was read.
INSERT INTO command.standings (transaction_id, stage, used, due_at)
SELECT transaction_id, stage, used, due_at
FROM json_populate_recordset(NULL::command.standings, $1::json)
ON CONFLICT ON CONSTRAINT standings_pkey DO UPDATE SET
    stage = excluded.stage,
    used = excluded.used,
    due_at = excluded.due_at;

-- name: put_books
-- As above.
INSERT INTO command.books (ledger, closed_before, version)
SELECT ledger, closed_before, version
FROM json_populate_recordset(NULL::command.books, $1::json)
ON CONFLICT ON CONSTRAINT books_pkey DO UPDATE SET
    closed_before = excluded.closed_before,
    version = excluded.version;

-- name: accounts
-- Read under the checkpoint's lock, as the next two are, so that no other process writes them.
SELECT
    a.ledger, a.account_id, a.account_class, a.account_type, a.currency, a.normal_side,
    a.overdraft_limit, a.status, a.version, a.metadata, a.opened_at
FROM read.accounts AS a
INNER JOIN unnest($1::text[], $2::text[]) AS wanted (ledger, account_id)
    ON a.ledger = wanted.ledger AND a.account_id = wanted.account_id;

-- name: balances
-- The counters that the page moves.
SELECT
    b.ledger, b.account_id, b.debits_posted, b.credits_posted, b.debits_pending,
    b.credits_pending, b.position, b.as_of
FROM read.balances AS b
INNER JOIN unnest($1::text[], $2::text[]) AS wanted (ledger, account_id)
    ON b.ledger = wanted.ledger AND b.account_id = wanted.account_id;

-- name: transaction_states
-- No row means that the transaction is in the state that its first event gave it.
SELECT transaction_id, stage, used, code, detail, position, changed_at
FROM read.standings WHERE transaction_id = ANY($1::uuid[]);

-- name: put_accounts
-- Only an account's policy changes, and is replaced whole; all other columns never change.
INSERT INTO read.accounts (
    ledger, account_id, account_class, account_type, currency, normal_side, overdraft_limit,
    status, version, metadata, opened_at
)
SELECT
    ledger, account_id, account_class, account_type, currency, normal_side, overdraft_limit,
    status, version, metadata, opened_at
FROM json_populate_recordset(NULL::read.accounts, $1::json)
ON CONFLICT ON CONSTRAINT accounts_pkey DO UPDATE SET
    overdraft_limit = excluded.overdraft_limit,
    status = excluded.status,
    version = excluded.version,
    metadata = excluded.metadata;

-- name: move_balances
-- Of accounts that were opened before the page: one statement and one parameter for all of them.
-- Balances of accounts that the page opens are copied, as entries are.
UPDATE read.balances AS b SET
    debits_posted = n.debits_posted,
    credits_posted = n.credits_posted,
    debits_pending = n.debits_pending,
    credits_pending = n.credits_pending,
    position = n.position,
    as_of = n.as_of
FROM unnest($1::text[]::read.balances[]) AS n
WHERE b.ledger = n.ledger AND b.account_id = n.account_id;

-- name: put_transaction_states
-- A row is replaced whole: it was read under the same lock.
INSERT INTO read.standings (transaction_id, stage, used, code, detail, position, changed_at)
SELECT transaction_id, stage, used, code, detail, position, changed_at
FROM json_populate_recordset(NULL::read.standings, $1::json)
ON CONFLICT ON CONSTRAINT standings_pkey DO UPDATE SET
    stage = excluded.stage,
    used = excluded.used,
    code = excluded.code,
    detail = excluded.detail,
    position = excluded.position,
    changed_at = excluded.changed_at;

-- name: put_books
-- Only the last closing of a ledger counts.
INSERT INTO read.books (ledger, closed_before, version, position)
SELECT ledger, closed_before, version, position
FROM json_populate_recordset(NULL::read.books, $1::json)
ON CONFLICT ON CONSTRAINT books_pkey DO UPDATE SET
    closed_before = excluded.closed_before,
    version = excluded.version,
    position = excluded.position;

-- name: put_recorded_times
-- The events of one commit share their time and may fall into two pages: the later page replaces
-- the position.
INSERT INTO read.moments (recorded_at, position)
SELECT recorded_at, position FROM json_populate_recordset(NULL::read.moments, $1::json)
ON CONFLICT ON CONSTRAINT moments_pkey DO UPDATE SET position = excluded.position;

-- name: balances
-- Read under the checkpoint's lock, so nobody else can be writing them.
SELECT
    b.ledger, b.account_id, b.normal_side, b.debits_posted, b.credits_posted, b.debits_pending,
    b.credits_pending, b.position, b.as_of
FROM read.balances AS b
INNER JOIN unnest($1::text[], $2::text[]) AS wanted (ledger, account_id)
    ON b.ledger = wanted.ledger AND b.account_id = wanted.account_id;

-- name: add_accounts
-- Once an account: an account's class, currency and normal side never change.
INSERT INTO read.accounts (
    ledger, account_id, account_class, currency, normal_side, overdraft_limit, status, opened_at
)
SELECT
    ledger, account_id, account_class, currency, normal_side, overdraft_limit, status, opened_at
FROM json_populate_recordset(NULL::read.accounts, $1::json);

-- name: change_accounts
-- At most one row an account: the caller sends the last policy of the page.
UPDATE read.accounts AS a
SET status = new.status, overdraft_limit = new.overdraft_limit
FROM json_populate_recordset(NULL::read.accounts, $1::json) AS new
WHERE a.ledger = new.ledger AND a.account_id = new.account_id;

-- name: put_balances
-- One statement and one parameter for every account of the page, whatever their number.
INSERT INTO read.balances (
    ledger, account_id, normal_side, debits_posted, credits_posted, debits_pending,
    credits_pending, position, as_of
)
SELECT
    ledger, account_id, normal_side, debits_posted, credits_posted, debits_pending,
    credits_pending, position, as_of
FROM json_populate_recordset(NULL::read.balances, $1::json)
ON CONFLICT ON CONSTRAINT balances_pkey DO UPDATE SET
    debits_posted = excluded.debits_posted,
    credits_posted = excluded.credits_posted,
    debits_pending = excluded.debits_pending,
    credits_pending = excluded.credits_pending,
    position = excluded.position,
    as_of = excluded.as_of;

-- name: add_entries
-- Only ever added: the checkpoint says what is here already.
INSERT INTO read.entries (
    ledger, account_id, position, line, transaction_id, side, amount, currency, balance,
    recorded_at
)
SELECT
    ledger, account_id, position, line, transaction_id, side, amount, currency, balance,
    recorded_at
FROM json_populate_recordset(NULL::read.entries, $1::json);

-- name: add_transactions
-- Only ever added, but for `refunded`.
INSERT INTO read.transactions (
    transaction_id, ledger, position, idempotency_key, kind, status, code, detail,
    source_account_id, destination_account_id, amount, currency, description, metadata, refund_of,
    recorded_at
)
SELECT
    transaction_id, ledger, position, idempotency_key, kind, status, code, detail,
    source_account_id, destination_account_id, amount, currency, description, metadata, refund_of,
    recorded_at
FROM json_populate_recordset(NULL::read.transactions, $1::json);

-- name: add_refunded
-- After add_transactions: original and refund may stand in one page.
UPDATE read.transactions AS t SET refunded = t.refunded + new.refunded
FROM json_populate_recordset(NULL::read.transactions, $1::json) AS new
WHERE t.transaction_id = new.transaction_id;

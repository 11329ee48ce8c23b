-- name: accounts
-- Read under the head's lock, so nobody can change them before this batch commits: no row locks.
SELECT
    a.ledger, a.account_id, a.account_class, a.currency, a.normal_side, a.overdraft_limit,
    a.status, a.version, a.debits_posted, a.credits_posted, a.debits_pending, a.credits_pending
FROM command.accounts AS a
INNER JOIN unnest($1::text[], $2::text[]) AS wanted (ledger, account_id)
    ON a.ledger = wanted.ledger AND a.account_id = wanted.account_id;

-- name: refunded
-- No row means that nothing of the transaction was refunded yet.
SELECT transaction_id, refunded FROM command.refunds WHERE transaction_id = ANY($1::uuid[]);

-- name: put_accounts
-- One statement and one parameter for any number of accounts. Policy and counters are replaced
-- whole; what an account was opened as never changes.
INSERT INTO command.accounts (
    ledger, account_id, account_class, currency, normal_side, overdraft_limit, status, version,
    debits_posted, credits_posted, debits_pending, credits_pending
)
SELECT
    ledger, account_id, account_class, currency, normal_side, overdraft_limit, status, version,
    debits_posted, credits_posted, debits_pending, credits_pending
FROM json_populate_recordset(NULL::command.accounts, $1::json)
ON CONFLICT ON CONSTRAINT accounts_pkey DO UPDATE SET
    overdraft_limit = excluded.overdraft_limit,
    status = excluded.status,
    version = excluded.version,
    debits_posted = excluded.debits_posted,
    credits_posted = excluded.credits_posted,
    debits_pending = excluded.debits_pending,
    credits_pending = excluded.credits_pending;

-- name: put_refunded
-- The new totals, decided under the head's lock.
INSERT INTO command.refunds (transaction_id, refunded)
SELECT transaction_id, refunded
FROM json_populate_recordset(NULL::command.refunds, $1::json)
ON CONFLICT ON CONSTRAINT refunds_pkey DO UPDATE SET refunded = excluded.refunded;

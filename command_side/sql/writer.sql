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
-- One statement for any number of accounts. Amounts come as text: integers have no size limit.
INSERT INTO command.accounts (
    ledger, account_id, account_class, currency, normal_side, overdraft_limit, status, version,
    debits_posted, credits_posted, debits_pending, credits_pending
)
SELECT
    ledger, account_id, account_class, currency, normal_side, overdraft_limit::numeric, status,
    version, debits_posted::numeric, credits_posted::numeric, debits_pending::numeric,
    credits_pending::numeric
FROM
    unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[]
    )
        AS new (
            ledger,
            account_id,
            account_class,
            currency,
            normal_side,
            overdraft_limit,
            status,
            version,
            debits_posted, credits_posted, debits_pending, credits_pending
        )
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
SELECT transaction_id, refunded::numeric
FROM unnest($1::uuid[], $2::text[]) AS new (transaction_id, refunded)
ON CONFLICT ON CONSTRAINT refunds_pkey DO UPDATE SET refunded = excluded.refunded;

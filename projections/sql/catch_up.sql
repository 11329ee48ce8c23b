-- name: balances
-- Read under the checkpoint's lock, so nobody else can be writing them.
SELECT
    b.ledger, b.account_id, a.normal_side, b.position, b.as_of,
    b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending
FROM read.balances AS b
INNER JOIN read.accounts AS a ON b.ledger = a.ledger AND b.account_id = a.account_id
INNER JOIN unnest($1::text[], $2::text[]) AS wanted (ledger, account_id)
    ON b.ledger = wanted.ledger AND b.account_id = wanted.account_id;

-- name: put_accounts
-- The last policy of the page wins; an account's class, currency and side never change.
INSERT INTO read.accounts (
    ledger, account_id, account_class, currency, normal_side, overdraft_limit, status, opened_at
)
SELECT
    ledger, account_id, account_class, currency, normal_side, overdraft_limit::numeric,
    'open' AS status, opened_at
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
    $7::timestamptz[]
) AS new (
    ledger, account_id, account_class, currency, normal_side, overdraft_limit, opened_at
);

-- name: change_accounts
-- At most one row an account: the caller sends the last policy of the page.
UPDATE read.accounts AS a
SET status = new.status, overdraft_limit = new.overdraft_limit::numeric
FROM
    unnest($1::text[], $2::text[], $3::text[], $4::text[])
        AS new (
            ledger, account_id, status, overdraft_limit
        )
WHERE a.ledger = new.ledger AND a.account_id = new.account_id;

-- name: put_balances
-- One statement for every account of the page, whatever their number.
INSERT INTO read.balances (
    ledger, account_id, debits_posted, credits_posted, debits_pending, credits_pending, position,
    as_of
)
SELECT
    ledger, account_id, debits_posted::numeric, credits_posted::numeric, debits_pending::numeric,
    credits_pending::numeric, position, as_of
FROM
    unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
        $8::timestamptz[]
    )
        AS new (
            ledger,
            account_id,
            debits_posted,
            credits_posted,
            debits_pending,
            credits_pending,
            position,
            as_of
        )
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
    ledger, account_id, position, line, transaction_id, side, amount::numeric, currency,
    balance::numeric, recorded_at
FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::smallint[], $5::uuid[], $6::text[],
    $7::text[], $8::text[], $9::text[], $10::timestamptz[]
) AS new (
    ledger, account_id, position, line, transaction_id, side, amount, currency, balance,
    recorded_at
);

-- name: add_transactions
-- Only ever added, but for `refunded`.
INSERT INTO read.transactions (
    transaction_id, ledger, position, idempotency_key, kind, status, code, detail,
    source_account_id, destination_account_id, amount, currency, description, metadata, refund_of,
    recorded_at
)
SELECT
    transaction_id, ledger, position, idempotency_key, kind, status, code, detail,
    source_account_id, destination_account_id, amount::numeric, currency, description, metadata,
    refund_of, recorded_at
FROM unnest(
    $1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
    $14::text[], $15::uuid[], $16::timestamptz[]
) AS new (
    transaction_id, ledger, position, idempotency_key, kind, status, code, detail,
    source_account_id, destination_account_id, amount, currency, description, metadata, refund_of,
    recorded_at
);

-- name: add_refunded
-- After add_transactions: original and refund may stand in one page.
UPDATE read.transactions AS t SET refunded = t.refunded + new.amount::numeric
FROM unnest($1::uuid[], $2::text[]) AS new (transaction_id, amount)
WHERE t.transaction_id = new.transaction_id;

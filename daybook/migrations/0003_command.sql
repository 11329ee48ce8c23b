-- What deciding needs: a view of the log, kept in the transaction that appends.
-- Locks nothing that existed before.

CREATE TABLE command.accounts (
    ledger text NOT NULL,
    account_id text NOT NULL,
    account_class text NOT NULL,
    currency text NOT NULL,
    normal_side text NOT NULL CONSTRAINT accounts_side CHECK (normal_side IN ('debit', 'credit')),
    overdraft_limit numeric,
    status text NOT NULL CONSTRAINT accounts_status CHECK (status IN ('open', 'frozen', 'closed')),
    version bigint NOT NULL,
    debits_posted numeric NOT NULL CONSTRAINT accounts_debits_posted CHECK (debits_posted >= 0),
    credits_posted numeric NOT NULL CONSTRAINT accounts_credits_posted CHECK (credits_posted >= 0),
    debits_pending numeric NOT NULL CONSTRAINT accounts_debits_pending CHECK (debits_pending >= 0),
    credits_pending numeric NOT NULL
    CONSTRAINT accounts_credits_pending CHECK (credits_pending >= 0),
    CONSTRAINT accounts_pkey PRIMARY KEY (ledger, account_id)
-- Free space in each page keeps the updates heap-only (no index is touched).
) WITH (fillfactor = 60);

-- How much of a transaction has been refunded; no row means nothing yet.
CREATE TABLE command.refunds (
    transaction_id uuid CONSTRAINT refunds_pkey PRIMARY KEY,
    refunded numeric NOT NULL CONSTRAINT refunds_positive CHECK (refunded > 0)
);

GRANT USAGE ON SCHEMA command TO daybook_writer, daybook_auditor;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA command TO daybook_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA command TO daybook_auditor;

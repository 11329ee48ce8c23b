-- The read models: everything here can be folded again from the log.
-- Locks nothing that existed before.

CREATE TABLE read.accounts (
    ledger text NOT NULL,
    account_id text NOT NULL,
    account_class text NOT NULL,
    currency text NOT NULL,
    normal_side text NOT NULL,
    overdraft_limit numeric,
    status text NOT NULL,
    opened_at timestamptz NOT NULL,
    CONSTRAINT accounts_pkey PRIMARY KEY (ledger, account_id)
);

CREATE TABLE read.balances (
    ledger text NOT NULL,
    account_id text NOT NULL,
    -- As in read.accounts; it never changes, and saves every fold a join.
    normal_side text NOT NULL,
    debits_posted numeric NOT NULL,
    credits_posted numeric NOT NULL,
    debits_pending numeric NOT NULL,
    credits_pending numeric NOT NULL,
    position bigint NOT NULL,
    as_of timestamptz NOT NULL,
    CONSTRAINT balances_pkey PRIMARY KEY (ledger, account_id)
) WITH (fillfactor = 60);

CREATE TABLE read.entries (
    ledger text NOT NULL,
    account_id text NOT NULL,
    position bigint NOT NULL,
    line smallint NOT NULL,
    transaction_id uuid NOT NULL,
    side text NOT NULL CONSTRAINT entries_side CHECK (side IN ('debit', 'credit')),
    amount numeric NOT NULL CONSTRAINT entries_positive CHECK (amount > 0),
    currency text NOT NULL,
    balance numeric NOT NULL,
    recorded_at timestamptz NOT NULL,
    -- An account's ledger pages by this key.
    CONSTRAINT entries_pkey PRIMARY KEY (ledger, account_id, position, line)
);
-- Reconciliation reads entries by ranges of positions. Rows arrive in that order, so a block
-- range index of a few pages serves it.
CREATE INDEX entries_by_position ON read.entries USING brin (position) WITH (autosummarize = on);

CREATE TABLE read.transactions (
    transaction_id uuid CONSTRAINT transactions_pkey PRIMARY KEY,
    ledger text NOT NULL,
    position bigint NOT NULL,
    idempotency_key text NOT NULL,
    kind text NOT NULL,
    status text NOT NULL CONSTRAINT transactions_status CHECK (status IN ('COMPLETED', 'FAILED')),
    code text,
    detail text,
    source_account_id text,
    destination_account_id text,
    amount numeric,
    currency text,
    description text,
    metadata text,
    refund_of uuid,
    refunded numeric NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 90);
-- The list of a ledger's transactions pages by this key.
CREATE UNIQUE INDEX transactions_by_position ON read.transactions (ledger, position);
-- Reconciliation reads transactions by ranges of positions, too.
CREATE INDEX transactions_by_block ON read.transactions
USING brin (position) WITH (autosummarize = on);
-- An account's audit trail shows what was refused, too. Refusals are few, so these stay small.
CREATE INDEX transactions_refused_by_source
ON read.transactions (ledger, source_account_id, position) WHERE status = 'FAILED';
CREATE INDEX transactions_refused_by_destination
ON read.transactions (ledger, destination_account_id, position) WHERE status = 'FAILED';

-- What was compared, and what was found; written by the auditor alone.
CREATE TABLE read.reconciliations (
    reconciliation_id uuid CONSTRAINT reconciliations_pkey PRIMARY KEY,
    ledger text,
    account_id text,
    start_at timestamptz,
    end_at timestamptz,
    position bigint NOT NULL,
    events_read bigint NOT NULL,
    entries_compared bigint NOT NULL,
    balances_compared bigint NOT NULL,
    discrepancy_count bigint NOT NULL,
    discrepancies text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL
);
-- An account's reconciliation history is read newest first.
CREATE INDEX reconciliations_by_account ON read.reconciliations (ledger, account_id, finished_at);

GRANT USAGE ON SCHEMA read TO daybook_projector, daybook_reader, daybook_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA read TO daybook_reader, daybook_auditor;
GRANT SELECT, INSERT ON
read.accounts, read.balances, read.entries, read.transactions TO daybook_projector;
-- Entries are only ever added.
GRANT UPDATE ON read.accounts, read.balances, read.transactions TO daybook_projector;
GRANT INSERT ON read.reconciliations TO daybook_auditor;

-- Holds, schedules, closings, several postings a transaction, balances at any point.
-- Locks everything: stop the workers first. The read models are emptied, and folded again from the
-- log by the projector; the command side's rows are brought over.

-- What deciding needs -------------------------------------------------------------------------

ALTER TABLE command.accounts DROP CONSTRAINT accounts_status;
ALTER TABLE command.accounts ADD CONSTRAINT accounts_status
CHECK (status IN ('open', 'frozen_in', 'frozen_out', 'frozen', 'closed'));
ALTER TABLE command.accounts ADD COLUMN account_type text;
UPDATE command.accounts
SET account_type = CASE normal_side WHEN 'debit' THEN 'asset' ELSE 'liability' END;
ALTER TABLE command.accounts ALTER COLUMN account_type SET NOT NULL;
ALTER TABLE command.accounts ADD COLUMN metadata text;

-- How a transaction stands, if no longer as its first event says, and when it is due. `used` is
-- how much of each posting was refunded (of a completed one) or captured (of a hold).
CREATE TABLE command.standings (
    transaction_id uuid CONSTRAINT standings_pkey PRIMARY KEY,
    stage text NOT NULL,
    used numeric[] NOT NULL,
    due_at timestamptz
) WITH (fillfactor = 80);
-- The sweeper asks for what is due.
CREATE INDEX standings_due ON command.standings (due_at) WHERE due_at IS NOT NULL;
INSERT INTO command.standings (transaction_id, stage, used)
SELECT transaction_id, 'COMPLETED' AS stage, ARRAY[refunded] AS used FROM command.refunds;
DROP TABLE command.refunds;

-- One row for each ledger that was ever closed up to some day.
CREATE TABLE command.books (
    ledger text CONSTRAINT books_pkey PRIMARY KEY,
    closed_before timestamptz NOT NULL,
    version bigint NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON command.standings, command.books TO daybook_writer;
GRANT SELECT ON command.standings, command.books TO daybook_auditor;

-- What readers need ---------------------------------------------------------------------------

DROP TABLE read.accounts, read.balances, read.entries, read.transactions;
UPDATE events.checkpoints SET position = 0 WHERE reader = 'projector';

CREATE TABLE read.accounts (
    ledger text NOT NULL,
    account_id text NOT NULL,
    account_class text NOT NULL,
    account_type text NOT NULL,
    currency text NOT NULL,
    normal_side text NOT NULL,
    overdraft_limit numeric,
    status text NOT NULL,
    version bigint NOT NULL,
    metadata text,
    opened_at timestamptz NOT NULL,
    CONSTRAINT accounts_pkey PRIMARY KEY (ledger, account_id)
);
-- The list of accounts pages by this key, and ids that begin alike are neighbours in it, whatever
-- the database's own collation is.
CREATE INDEX accounts_by_id ON read.accounts (ledger, account_id COLLATE "C");

CREATE TABLE read.balances (
    ledger text NOT NULL,
    account_id text NOT NULL,
    debits_posted numeric NOT NULL,
    credits_posted numeric NOT NULL,
    debits_pending numeric NOT NULL,
    credits_pending numeric NOT NULL,
    position bigint NOT NULL,
    as_of timestamptz NOT NULL,
    CONSTRAINT balances_pkey PRIMARY KEY (ledger, account_id)
) WITH (fillfactor = 60);

-- Only ever added to. The four counters are the account's after the line, so the last line up to a
-- position is the balance at that position.
CREATE TABLE read.entries (
    ledger text NOT NULL,
    account_id text NOT NULL,
    position bigint NOT NULL,
    line smallint NOT NULL,
    transaction_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT entries_kind CHECK (kind IN ('posted', 'held', 'released')),
    side text NOT NULL CONSTRAINT entries_side CHECK (side IN ('debit', 'credit')),
    amount numeric NOT NULL CONSTRAINT entries_positive CHECK (amount > 0),
    currency text NOT NULL,
    debits_posted numeric NOT NULL,
    credits_posted numeric NOT NULL,
    debits_pending numeric NOT NULL,
    credits_pending numeric NOT NULL,
    recorded_at timestamptz NOT NULL,
    -- Only of what was dated back; nothing is dated ahead.
    effective_at timestamptz,
    -- An account's ledger pages by this key.
    CONSTRAINT entries_pkey PRIMARY KEY (ledger, account_id, position, line)
);
-- The list of a whole ledger's entries pages by this key, however few of the log's entries are its;
-- a transaction's entries are found by its position.
CREATE UNIQUE INDEX entries_of_ledger ON read.entries (ledger, position, line);
-- Reconciliation reads ranges of positions. Rows arrive in that order, so a block range index of a
-- few pages serves it.
CREATE INDEX entries_by_position ON read.entries USING brin (position) WITH (autosummarize = on);
-- A balance at an effective time is the one recorded by then, and what was dated back later.
CREATE INDEX entries_dated_back ON read.entries (ledger, account_id, effective_at)
WHERE effective_at IS NOT NULL;

-- Only ever added to: a row as the transaction's first event says it. What became of it since is
-- in read.standings.
CREATE TABLE read.transactions (
    transaction_id uuid CONSTRAINT transactions_pkey PRIMARY KEY,
    ledger text NOT NULL,
    position bigint NOT NULL,
    idempotency_key text NOT NULL,
    kind text NOT NULL,
    stage text NOT NULL,
    code text,
    detail text,
    source_account_id text,
    destination_account_id text,
    amount numeric,
    currency text,
    -- JSON, of more than one posting, or of one that refers to a line other than the first.
    postings text,
    description text,
    reference text,
    metadata text,
    rate text,
    about uuid,
    due_at timestamptz,
    effective_at timestamptz,
    recorded_at timestamptz NOT NULL
);
-- The list of a ledger's transactions pages by this key.
CREATE UNIQUE INDEX transactions_by_position ON read.transactions (ledger, position);
-- Reconciliation reads transactions by ranges of positions, too.
CREATE INDEX transactions_by_block ON read.transactions
USING brin (position) WITH (autosummarize = on);
-- The other two ways to look for a transaction; most have neither, so both stay small.
CREATE INDEX transactions_by_reference ON read.transactions (ledger, reference, position)
WHERE reference IS NOT NULL;
CREATE INDEX transactions_by_about ON read.transactions (about, position) WHERE about IS NOT NULL;

-- How a transaction stands, if no longer as its first event says.
CREATE TABLE read.standings (
    transaction_id uuid CONSTRAINT standings_pkey PRIMARY KEY,
    stage text NOT NULL,
    used numeric[] NOT NULL,
    code text,
    detail text,
    position bigint NOT NULL,
    changed_at timestamptz NOT NULL
) WITH (fillfactor = 80);

-- The accounts of transactions that made no entry: refused, scheduled, cancelled.
CREATE TABLE read.mentions (
    ledger text NOT NULL,
    account_id text NOT NULL,
    position bigint NOT NULL,
    CONSTRAINT mentions_pkey PRIMARY KEY (ledger, account_id, position)
);
-- Reconciliation reads these two by ranges of positions, too.
CREATE INDEX mentions_by_block ON read.mentions USING brin (position) WITH (autosummarize = on);

-- The last position of each recorded time (one a commit): what was so at a time was so at its
-- position.
CREATE TABLE read.moments (
    recorded_at timestamptz CONSTRAINT moments_pkey PRIMARY KEY,
    position bigint NOT NULL
);
CREATE INDEX moments_by_block ON read.moments USING brin (position) WITH (autosummarize = on);

CREATE TABLE read.books (
    ledger text CONSTRAINT books_pkey PRIMARY KEY,
    closed_before timestamptz NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL
);

-- Is `part` somewhere in `whole`? Neither case nor the database's own collation matters, and no
-- character is a wildcard. (A function of one expression becomes part of the query that calls it.)
CREATE FUNCTION read.contains(whole text, part text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT strpos(lower(whole COLLATE pg_c_utf8), lower(part COLLATE pg_c_utf8)) > 0
$$;

GRANT SELECT ON ALL TABLES IN SCHEMA read TO daybook_reader, daybook_auditor;
GRANT SELECT, INSERT ON
read.accounts, read.balances, read.entries, read.transactions, read.standings, read.mentions,
read.moments, read.books TO daybook_projector;
-- Entries, transactions and mentions are only ever added.
GRANT UPDATE ON
read.accounts, read.balances, read.standings, read.moments, read.books TO daybook_projector;

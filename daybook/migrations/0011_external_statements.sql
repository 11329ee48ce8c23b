-- Statements of banks and processors, matched with entries; and the role that does it.
-- Locks nothing that existed before.

CREATE SCHEMA IF NOT EXISTS external;

DO $$
BEGIN
    BEGIN
        CREATE ROLE daybook_matcher NOLOGIN;
    EXCEPTION
        -- Roles belong to the cluster: another database made it first, perhaps this very moment.
        WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    GRANT daybook_matcher TO CURRENT_USER;
END
$$;

-- One file, read once. The id is made of the ledger, the account and the digest of how it is to be
-- read and of its bytes, so the same file is the same statement.
CREATE TABLE external.statements (
    statement_id uuid CONSTRAINT statements_pkey PRIMARY KEY,
    statement_number bigint GENERATED ALWAYS AS IDENTITY,
    ledger text NOT NULL,
    account_id text NOT NULL,
    file_sha256 bytea NOT NULL,
    -- JSON: the format, with its mapping; and the terms that it was matched on last.
    reader text NOT NULL,
    terms text NOT NULL,
    external_account text,
    currency text NOT NULL,
    starts_on date,
    ends_on date,
    opening numeric,
    closing numeric,
    -- JSON: where its own figures do not lead from one balance to the next.
    mismatches text NOT NULL,
    -- How far the log had been applied when it was matched last.
    position bigint NOT NULL,
    imported_by text NOT NULL,
    imported_at timestamptz NOT NULL DEFAULT now()
);
-- The list of a ledger's statements pages by this key.
CREATE UNIQUE INDEX statements_of_ledger ON external.statements (ledger, statement_number);

CREATE TABLE external.lines (
    statement_id uuid NOT NULL
    CONSTRAINT lines_statement REFERENCES external.statements (statement_id),
    line_number integer NOT NULL,
    booked_on date NOT NULL,
    value_on date,
    -- Signed minor units: positive is money in.
    amount numeric NOT NULL CONSTRAINT lines_not_zero CHECK (amount <> 0),
    refs text[] NOT NULL,
    counterparty text,
    description text,
    -- JSON: what the line could have been when it was matched last.
    candidates text NOT NULL DEFAULT '[]',
    -- A statement's lines page by this key.
    CONSTRAINT lines_pkey PRIMARY KEY (statement_id, line_number)
);

CREATE TABLE external.matches (
    statement_id uuid NOT NULL
    CONSTRAINT matches_statement REFERENCES external.statements (statement_id),
    match_number integer NOT NULL,
    status text NOT NULL
    CONSTRAINT matches_status CHECK (status IN ('proposed', 'accepted', 'rejected')),
    rule text NOT NULL,
    confidence smallint NOT NULL
    CONSTRAINT matches_percent CHECK (confidence BETWEEN 0 AND 100),
    explanation text NOT NULL,
    amount_difference numeric NOT NULL,
    days_apart integer NOT NULL,
    proposed_at timestamptz NOT NULL DEFAULT now(),
    -- A statement's matches page by this key.
    CONSTRAINT matches_pkey PRIMARY KEY (statement_id, match_number)
);

-- What a match links. A rejected one keeps its links, and they count no more.
CREATE TABLE external.match_lines (
    statement_id uuid NOT NULL,
    match_number integer NOT NULL,
    line_number integer NOT NULL,
    live boolean NOT NULL DEFAULT TRUE,
    CONSTRAINT match_lines_pkey PRIMARY KEY (statement_id, match_number, line_number),
    CONSTRAINT match_lines_match
    FOREIGN KEY (statement_id, match_number) REFERENCES external.matches,
    CONSTRAINT match_lines_line FOREIGN KEY (statement_id, line_number) REFERENCES external.lines
);
-- A line is in one match; whether it is in any is looked up here, too.
CREATE UNIQUE INDEX match_lines_once ON external.match_lines (statement_id, line_number)
WHERE live;

CREATE TABLE external.match_entries (
    statement_id uuid NOT NULL,
    match_number integer NOT NULL,
    position bigint NOT NULL,
    line smallint NOT NULL,
    -- As in read.entries, which is folded anew at times and therefore referred to by no key.
    transaction_id uuid NOT NULL,
    amount numeric NOT NULL,
    live boolean NOT NULL DEFAULT TRUE,
    CONSTRAINT match_entries_pkey PRIMARY KEY (statement_id, match_number, position, line),
    CONSTRAINT match_entries_match
    FOREIGN KEY (statement_id, match_number) REFERENCES external.matches
);
-- An entry is in one match of all statements; whether it is in any is looked up here, too.
CREATE UNIQUE INDEX match_entries_once ON external.match_entries (position, line) WHERE live;

-- Who said what of a match, when and why. Only ever added to.
CREATE TABLE external.decisions (
    decision_number bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT decisions_pkey PRIMARY KEY,
    statement_id uuid NOT NULL,
    match_number integer NOT NULL,
    verdict text NOT NULL
    CONSTRAINT decisions_verdict CHECK (verdict IN ('accepted', 'rejected')),
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now(),
    reason text NOT NULL,
    CONSTRAINT decisions_match
    FOREIGN KEY (statement_id, match_number) REFERENCES external.matches
);
-- A match is shown with its decisions.
CREATE INDEX decisions_of_match ON external.decisions (statement_id, match_number);

CREATE FUNCTION external.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'decisions are kept: % of %.% refused', tg_op, tg_table_schema, tg_table_name
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER decisions_kept
BEFORE UPDATE OR DELETE OR TRUNCATE ON external.decisions
FOR EACH STATEMENT EXECUTE FUNCTION external.refuse_change();
ALTER TABLE external.decisions ENABLE ALWAYS TRIGGER decisions_kept;

GRANT USAGE ON SCHEMA external, events, read, runtime TO daybook_matcher;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA external TO daybook_matcher;
GRANT UPDATE (terms, position) ON external.statements TO daybook_matcher;
GRANT UPDATE (candidates) ON external.lines TO daybook_matcher;
GRANT UPDATE (status) ON external.matches TO daybook_matcher;
GRANT UPDATE (live) ON external.match_lines, external.match_entries TO daybook_matcher;
GRANT SELECT ON
read.accounts, read.entries, read.transactions, read.moments, events.checkpoints,
events.daybook_events TO daybook_matcher;
-- The auditor reports on them.
GRANT USAGE ON SCHEMA external TO daybook_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA external TO daybook_auditor;

-- Repairs: a role that may mend rows of the views, and what it did, kept for ever.
-- Locks the eleven views, events.head and events.checkpoints for a moment, to grant rights.

DO $$
BEGIN
    BEGIN
        CREATE ROLE daybook_repairer NOLOGIN;
    EXCEPTION
        -- Another database of the cluster made it first, perhaps this very moment.
        WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    GRANT daybook_repairer TO CURRENT_USER;
END
$$;

-- One row for each repair that was applied, written in the transaction that mended the rows.
CREATE TABLE read.repairs (
    repair_id uuid CONSTRAINT repairs_pkey PRIMARY KEY,
    -- None of both: all ledgers.
    ledger text,
    account_id text,
    wanted text NOT NULL,
    applied_by text NOT NULL CONSTRAINT repairs_by_somebody CHECK (applied_by <> ''),
    reason text NOT NULL CONSTRAINT repairs_for_a_reason CHECK (reason <> ''),
    fingerprint text NOT NULL,
    checkpoint bigint NOT NULL,
    head bigint NOT NULL,
    row_count bigint NOT NULL CONSTRAINT repairs_of_something CHECK (row_count > 0),
    changes text NOT NULL,
    applied_at timestamptz NOT NULL
);
-- A ledger's repairs are listed newest first.
CREATE INDEX repairs_of_ledger ON read.repairs (ledger, applied_at, repair_id);

-- What was still different when the same was compared again afterwards.
CREATE TABLE read.repair_checks (
    repair_id uuid NOT NULL
    CONSTRAINT repair_checks_of_repair REFERENCES read.repairs (repair_id),
    checked_at timestamptz NOT NULL,
    checkpoint bigint NOT NULL,
    head bigint NOT NULL,
    remaining bigint NOT NULL CONSTRAINT repair_checks_not_negative CHECK (remaining >= 0),
    CONSTRAINT repair_checks_pkey PRIMARY KEY (repair_id, checked_at)
);

-- One row for each time that the read models were built anew and swapped in.
CREATE TABLE read.rebuilds (
    rebuild_id uuid CONSTRAINT rebuilds_pkey PRIMARY KEY,
    rebuilt_by text NOT NULL CONSTRAINT rebuilds_by_somebody CHECK (rebuilt_by <> ''),
    position bigint NOT NULL,
    row_count bigint NOT NULL,
    differing bigint NOT NULL,
    differences text NOT NULL,
    started_at timestamptz NOT NULL,
    swapped_at timestamptz NOT NULL
);

CREATE FUNCTION read.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was done stays on record: % of %.% refused',
    tg_op, tg_table_schema, tg_table_name USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER repairs_immutable
BEFORE UPDATE OR DELETE OR TRUNCATE ON read.repairs
FOR EACH STATEMENT EXECUTE FUNCTION read.refuse_change();
CREATE TRIGGER repair_checks_immutable
BEFORE UPDATE OR DELETE OR TRUNCATE ON read.repair_checks
FOR EACH STATEMENT EXECUTE FUNCTION read.refuse_change();
CREATE TRIGGER rebuilds_immutable
BEFORE UPDATE OR DELETE OR TRUNCATE ON read.rebuilds
FOR EACH STATEMENT EXECUTE FUNCTION read.refuse_change();

GRANT SELECT ON read.repairs, read.repair_checks, read.rebuilds TO daybook_reader, daybook_auditor;
GRANT SELECT ON read.reconciliations TO daybook_repairer;
GRANT INSERT, SELECT ON read.repairs, read.repair_checks TO daybook_repairer;

-- A row is mended by removing it and adding the one that the log says: nothing is updated.
GRANT USAGE ON SCHEMA events, command, read TO daybook_repairer;
GRANT SELECT ON events.daybook_events, events.head, events.checkpoints TO daybook_repairer;
GRANT SELECT, INSERT, DELETE ON
read.accounts, read.balances, read.entries, read.transactions, read.standings, read.mentions,
read.moments, read.books, command.accounts, command.standings, command.books TO daybook_repairer;
-- It locks what the owners of the views lock, the head and the projector's checkpoint, and writes
-- both as they were, so that writers and projectors forget what they remember. It can move neither.
GRANT UPDATE (recorded_at) ON events.head TO daybook_repairer;
GRANT UPDATE (moved_at) ON events.checkpoints TO daybook_repairer;
CREATE POLICY checkpoints_repairer ON events.checkpoints FOR UPDATE TO daybook_repairer
USING (reader = 'projector');

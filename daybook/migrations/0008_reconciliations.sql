-- Reconciliations that run on, are resumed, and never end; each discrepancy is a row.
-- Locks read.reconciliations and events.checkpoints for as long as it takes to bring the reports
-- over: stop the processes that reconcile first.

ALTER TABLE read.reconciliations
-- Lists page by this number, newest first.
ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT reconciliations_number UNIQUE,
-- By whoever asked, by the audit worker from its queue, or by the worker for ever.
ADD COLUMN done_by text NOT NULL DEFAULT 'caller'
CONSTRAINT reconciliations_done_by CHECK (done_by IN ('caller', 'worker', 'continuous')),
ADD COLUMN status text NOT NULL DEFAULT 'finished'
CONSTRAINT reconciliations_status CHECK (status IN ('queued', 'running', 'finished', 'failed')),
ADD COLUMN asked_at timestamptz,
ADD COLUMN updated_at timestamptz,
-- How far the log went when this was last looked at; `position` is how far the comparison is.
ADD COLUMN target bigint NOT NULL DEFAULT 0,
-- JSON: how many discrepancies of each kind, those that are not kept included.
ADD COLUMN kinds text NOT NULL DEFAULT '{}',
ADD COLUMN failure text;
UPDATE read.reconciliations
SET asked_at = started_at, updated_at = finished_at, target = position, kinds = coalesce((
    SELECT json_object_agg(counted.kind, counted.times)::text
    FROM (
        SELECT
            found.value ->> 'kind' AS kind,
            count(*) AS times
        FROM json_array_elements(reconciliations.discrepancies::json) AS found
        GROUP BY found.value ->> 'kind'
    ) AS counted
), '{}');
ALTER TABLE read.reconciliations
ALTER COLUMN asked_at SET NOT NULL,
ALTER COLUMN updated_at SET NOT NULL,
ALTER COLUMN started_at DROP NOT NULL,
ALTER COLUMN finished_at DROP NOT NULL,
ALTER COLUMN done_by DROP DEFAULT,
ALTER COLUMN status DROP DEFAULT;
-- One at a time for each ledger: whoever asks again is shown the one that is under way.
CREATE UNIQUE INDEX reconciliations_under_way ON read.reconciliations (ledger)
WHERE done_by = 'worker' AND status IN ('queued', 'running');
-- A ledger's list of reconciliations, and an account's history, newest first.
CREATE INDEX reconciliations_of_ledger ON read.reconciliations (ledger, number);
CREATE INDEX reconciliations_of_account ON read.reconciliations (ledger, account_id, number);
DROP INDEX read.reconciliations_by_account;

CREATE TABLE read.discrepancies (
    -- Whoever inserts holds an advisory lock to the commit, so ids appear in order: a stream of
    -- them is followed by id.
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT discrepancies_pkey PRIMARY KEY,
    reconciliation_id uuid NOT NULL CONSTRAINT discrepancies_reconciliation
    REFERENCES read.reconciliations (reconciliation_id),
    kind text NOT NULL,
    view text NOT NULL,
    ledger text,
    account_id text,
    transaction_id uuid,
    position bigint NOT NULL,
    expected text NOT NULL,
    actual text NOT NULL,
    explanation text NOT NULL,
    found_at timestamptz NOT NULL
);
INSERT INTO read.discrepancies (
    reconciliation_id, kind, view, ledger, account_id, transaction_id, position, expected, actual,
    explanation, found_at
)
SELECT
    kept.reconciliation_id, found.kind, '' AS view, found.ledger, found.account_id,
    found.transaction_id, found.position, found.expected, found.actual, found.explanation,
    kept.finished_at
FROM read.reconciliations AS kept
CROSS JOIN json_populate_recordset(NULL::read.discrepancies, kept.discrepancies::json) AS found
ORDER BY kept.finished_at;
ALTER TABLE read.reconciliations DROP COLUMN discrepancies;
-- A run's discrepancies, all or by kind, and one account's of a run.
CREATE INDEX discrepancies_of_run ON read.discrepancies (reconciliation_id, id);
CREATE INDEX discrepancies_of_kind ON read.discrepancies (reconciliation_id, kind, id);
CREATE INDEX discrepancies_of_account
ON read.discrepancies (reconciliation_id, ledger, account_id, id);

-- The auditor's books of a run that is not at its end, compressed: after a crash it goes on there.
CREATE TABLE read.places (
    reconciliation_id uuid CONSTRAINT places_pkey PRIMARY KEY
    CONSTRAINT places_reconciliation REFERENCES read.reconciliations (reconciliation_id),
    place bytea NOT NULL
) WITH (fillfactor = 10);
-- It is compressed already.
ALTER TABLE read.places ALTER COLUMN place SET STORAGE EXTERNAL;

-- The continuous reconciliation is one that never ends.
INSERT INTO read.reconciliations (
    reconciliation_id, done_by, status, asked_at, updated_at, position, events_read,
    entries_compared, balances_compared, discrepancy_count
) VALUES (
    '00000000-0000-0000-0000-000000000001', 'continuous', 'running', now(), now(), 0, 0, 0, 0, 0
);
INSERT INTO events.checkpoints (reader, position) VALUES ('auditor', 0);
CREATE POLICY checkpoints_auditor ON events.checkpoints FOR UPDATE TO daybook_auditor
USING (reader = 'auditor');

-- What is finished stays as it was reported.
ALTER TABLE read.reconciliations ENABLE ROW LEVEL SECURITY;
CREATE POLICY reconciliations_seen ON read.reconciliations FOR SELECT USING (TRUE);
CREATE POLICY reconciliations_asked ON read.reconciliations FOR INSERT TO daybook_auditor
WITH CHECK (TRUE);
CREATE POLICY reconciliations_going_on ON read.reconciliations FOR UPDATE TO daybook_auditor
USING (status IN ('queued', 'running')) WITH CHECK (TRUE);

GRANT UPDATE ON read.reconciliations TO daybook_auditor;
GRANT UPDATE ON events.checkpoints TO daybook_auditor;
GRANT SELECT, INSERT ON read.discrepancies TO daybook_auditor;
GRANT SELECT ON read.discrepancies TO daybook_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON read.places TO daybook_auditor;

-- The four-way view over HTTP: of each ledger the last one that was asked for.
-- Locks nothing that existed before.

CREATE TABLE read.four_ways (
    ledger text CONSTRAINT four_ways_pkey PRIMARY KEY,
    status text NOT NULL CONSTRAINT four_ways_status
    CHECK (status IN ('queued', 'running', 'clean', 'discrepancies', 'failed')),
    -- How far the log is folded, of how much.
    position bigint NOT NULL DEFAULT 0,
    target bigint NOT NULL DEFAULT 0,
    asked_at timestamptz NOT NULL,
    started_at timestamptz,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    failure text,
    -- JSON, as it is shown; it stays until the next one is there.
    report text
);
-- The audit worker looks for what waits, the oldest first.
CREATE INDEX four_ways_waiting ON read.four_ways (asked_at) WHERE status IN ('queued', 'running');

GRANT SELECT, INSERT, UPDATE ON read.four_ways TO daybook_auditor;

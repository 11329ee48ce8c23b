-- The log, its head, and how far each reader has come.
-- Locks nothing that existed before.

-- Row-compatible with the `eventsourcing` library (9.5, UUID ids), which reads it as an auditor.
CREATE TABLE events.daybook_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigint NOT NULL,
    -- Identity is idempotency: this key makes a second effect of one command impossible.
    CONSTRAINT daybook_events_pkey PRIMARY KEY (originator_id, originator_version),
    -- Every reader of the log pages by position.
    CONSTRAINT daybook_events_position UNIQUE (notification_id)
);

-- One row. Whoever appends locks it, so positions are gapless and in commit order.
CREATE TABLE events.head (
    singleton boolean CONSTRAINT head_pkey PRIMARY KEY DEFAULT TRUE
    CONSTRAINT head_one_row CHECK (singleton),
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 10);
INSERT INTO events.head (position, recorded_at) VALUES (0, '1970-01-01T00:00:00Z');

CREATE TABLE events.checkpoints (
    reader text CONSTRAINT checkpoints_pkey PRIMARY KEY,
    position bigint NOT NULL CONSTRAINT checkpoints_not_negative CHECK (position >= 0),
    moved_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 10);
INSERT INTO events.checkpoints (reader, position) VALUES ('relay', 0), ('projector', 0);

CREATE FUNCTION events.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is immutable: % of %.% refused', tg_op, tg_table_schema, tg_table_name
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER daybook_events_immutable
BEFORE UPDATE OR DELETE OR TRUNCATE ON events.daybook_events
FOR EACH STATEMENT EXECUTE FUNCTION events.refuse_change();
-- Also in a session that plays replica, as restore tools do.
ALTER TABLE events.daybook_events ENABLE ALWAYS TRIGGER daybook_events_immutable;

GRANT USAGE ON SCHEMA events TO
daybook_writer, daybook_relay, daybook_projector, daybook_reader, daybook_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA events TO
daybook_writer, daybook_relay, daybook_projector, daybook_reader, daybook_auditor;
GRANT INSERT ON events.daybook_events TO daybook_writer;
GRANT UPDATE ON events.head TO daybook_writer;
GRANT UPDATE ON events.checkpoints TO daybook_relay, daybook_projector;

-- Each reader moves its own checkpoint, and everybody may see them all.
ALTER TABLE events.checkpoints ENABLE ROW LEVEL SECURITY;
CREATE POLICY checkpoints_seen ON events.checkpoints FOR SELECT USING (TRUE);
CREATE POLICY checkpoints_relay ON events.checkpoints FOR UPDATE TO daybook_relay
USING (reader = 'relay');
CREATE POLICY checkpoints_projector ON events.checkpoints FOR UPDATE TO daybook_projector
USING (reader = 'projector');

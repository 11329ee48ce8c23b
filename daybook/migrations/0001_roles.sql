-- The roles of Daybook's processes, each with the least rights for its work.
-- Locks nothing. Roles belong to the whole cluster, so they may exist already.

CREATE SCHEMA IF NOT EXISTS events;
CREATE SCHEMA IF NOT EXISTS command;
CREATE SCHEMA IF NOT EXISTS read;

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY[
        'daybook_writer', 'daybook_relay', 'daybook_projector', 'daybook_reader', 'daybook_auditor'
    ] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXCEPTION
            -- Another database of the cluster made it first, perhaps this very moment.
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
        -- PostgreSQL 16+ lets a role's creator grant it, not yet act as it.
        EXECUTE format('GRANT %I TO CURRENT_USER', role_name);
    END LOOP;
END
$$;

CREATE TABLE runtime.tokens (
    token_sha256 bytea CONSTRAINT tokens_pkey PRIMARY KEY,
    tenant text NOT NULL,
    scopes text[] NOT NULL,
    label text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

GRANT USAGE ON SCHEMA runtime TO daybook_writer, daybook_reader, daybook_auditor;
GRANT SELECT ON runtime.tokens TO daybook_writer, daybook_reader, daybook_auditor;

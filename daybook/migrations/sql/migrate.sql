-- name: lock_migrations
-- A session lock, released by closing the connection: two migrating processes take turns.
SELECT pg_advisory_lock(hashtextextended('daybook.migrate', 0));

-- name: create_migrations
-- Not itself a migration: it is where they are recorded.
CREATE SCHEMA IF NOT EXISTS runtime;
CREATE TABLE IF NOT EXISTS runtime.migrations (
    name text CONSTRAINT migrations_pkey PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: migrations
-- The digests let a changed file be found.
SELECT name, sha256 FROM runtime.migrations;

-- name: record_migration
-- In the migration's own transaction, so that both are there or neither.
INSERT INTO runtime.migrations (name, sha256) VALUES ($1, $2);

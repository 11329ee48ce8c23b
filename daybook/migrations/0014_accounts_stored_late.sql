-- An account that batch after batch moves need not be stored by each: its row says what it holds.
-- Locks command.accounts and events.head for a moment; no row is written anew.
-- Stop the command processes of earlier versions first. Afterwards they fail: they would move
-- counters without saying up to where, and be counted twice.

-- The position as of which the row was stored. It holds every event of its account up to there, and
-- up to events.head.accounts_stored.
ALTER TABLE command.accounts ADD COLUMN position bigint NOT NULL DEFAULT 0;
ALTER TABLE command.accounts ALTER COLUMN position DROP DEFAULT;

ALTER TABLE events.head
-- Up to here every row of command.accounts holds every event; after it, ask the row, or the log.
ADD COLUMN accounts_stored bigint NOT NULL DEFAULT 0,
-- How often rows that writers remember were mended by other ways: then they read them again.
ADD COLUMN mended bigint NOT NULL DEFAULT 0;
UPDATE events.head SET accounts_stored = position;
-- An earlier writer names this column in its first statement.
ALTER TABLE events.head RENAME COLUMN recorded_at TO last_recorded_at;

REVOKE UPDATE (last_recorded_at) ON events.head FROM daybook_repairer;
GRANT UPDATE (mended) ON events.head TO daybook_repairer;

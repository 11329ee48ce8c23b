-- A repair asks the seal whether the events are those that were sealed.
-- Locks the tables of the seal for a moment, to grant rights.

GRANT USAGE ON SCHEMA seal TO daybook_repairer;
GRANT SELECT ON seal.secret, seal.tiles, seal.checkpoints TO daybook_repairer;

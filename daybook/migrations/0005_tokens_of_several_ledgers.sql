-- A token may be bound to several tenants.
-- Locks runtime.tokens for a moment. An API process of the version before can look up no token any
-- more, and lives from those that it remembers for up to a minute: restart it now.

ALTER TABLE runtime.tokens ADD COLUMN tenants text[];
UPDATE runtime.tokens SET tenants = ARRAY[tenant];
ALTER TABLE runtime.tokens
ALTER COLUMN tenants SET NOT NULL,
-- A token of no tenant could never be used; one of an unnamed tenant would be a riddle.
ADD CONSTRAINT tokens_tenants_named
CHECK (cardinality(tenants) > 0 AND array_position(tenants, NULL) IS NULL),
DROP COLUMN tenant;

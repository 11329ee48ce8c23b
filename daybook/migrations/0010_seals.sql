-- The log as a transparency log: the tree above its events, and what was signed of it.
-- Locks nothing that existed before, but for a moment events.checkpoints.

CREATE SCHEMA seal;

DO $$
BEGIN
    BEGIN
        CREATE ROLE daybook_sealer NOLOGIN;
    EXCEPTION
        -- Another database of the cluster made it first, perhaps this very moment.
        WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    GRANT daybook_sealer TO CURRENT_USER;
END
$$;

-- What the salts of the leaves follow from (sealing/leaves.py). It is made here, once, and whoever
-- changes it makes every event look altered.
CREATE TABLE seal.secret (
    singleton boolean CONSTRAINT secret_pkey PRIMARY KEY DEFAULT TRUE
    CONSTRAINT secret_one_row CHECK (singleton),
    secret bytea NOT NULL CONSTRAINT secret_length CHECK (length(secret) = 32)
);
INSERT INTO seal.secret (secret)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

-- Tiles of the tree (C2SP tlog-tiles): up to 256 hashes, joined. The last one of a level grows.
CREATE TABLE seal.tiles (
    level smallint NOT NULL,
    place bigint NOT NULL,
    nodes bytea NOT NULL CONSTRAINT tiles_width
    CHECK (length(nodes) BETWEEN 32 AND 8192 AND length(nodes) % 32 = 0),
    -- Proofs and the sealer look for single tiles, a verification for those of one level in order.
    CONSTRAINT tiles_pkey PRIMARY KEY (level, place)
) WITH (fillfactor = 90);
-- Hashes cannot be compressed; nobody should try.
ALTER TABLE seal.tiles ALTER COLUMN nodes SET STORAGE EXTERNAL;

-- Signed checkpoints, as they were sent off the box.
CREATE TABLE seal.checkpoints (
    size bigint CONSTRAINT checkpoints_pkey PRIMARY KEY
    CONSTRAINT checkpoints_not_empty CHECK (size > 0),
    note text NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO events.checkpoints (reader, position) VALUES ('sealer', 0);
CREATE POLICY checkpoints_sealer ON events.checkpoints FOR UPDATE TO daybook_sealer
USING (reader = 'sealer');

GRANT USAGE ON SCHEMA events TO daybook_sealer;
GRANT SELECT ON events.daybook_events, events.head, events.checkpoints TO daybook_sealer;
GRANT UPDATE ON events.checkpoints TO daybook_sealer;
GRANT USAGE ON SCHEMA seal TO daybook_sealer, daybook_reader, daybook_auditor;
GRANT SELECT ON seal.secret, seal.tiles, seal.checkpoints
TO daybook_sealer, daybook_reader, daybook_auditor;
GRANT INSERT, UPDATE ON seal.tiles TO daybook_sealer;
-- What was signed is only ever added to.
GRANT INSERT ON seal.checkpoints TO daybook_sealer;

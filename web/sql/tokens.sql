-- name: principal
-- Only the digest is stored: a stolen table opens nothing.
SELECT tenants, scopes, label FROM runtime.tokens WHERE token_sha256 = $1 AND revoked_at IS NULL;

-- name: add_token
-- Giving the same token again changes its rights; it never fails half-way.
INSERT INTO runtime.tokens (token_sha256, tenants, scopes, label) VALUES ($1, $2, $3, $4)
ON CONFLICT ON CONSTRAINT tokens_pkey
DO UPDATE SET tenants = $2, scopes = $3, label = $4, revoked_at = NULL;

-- name: revoke_token
-- The row stays, as a record of who had access until when; revoked again, it keeps its first time.
UPDATE runtime.tokens SET revoked_at = coalesce(revoked_at, now()) WHERE token_sha256 = $1
RETURNING label;

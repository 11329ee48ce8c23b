-- name: remove_entries
-- A repair deletes the rows as they are, ...
DELETE FROM read.entries AS t
USING json_populate_recordset(NULL::read.entries, $1::json) AS named
WHERE
    t.ledger = named.ledger AND t.account_id = named.account_id
    AND t.position = named.position AND t.line = named.line
RETURNING
    t.ledger, t.account_id, t.position, t.line, t.transaction_id, t.kind, t.side, t.amount,
    t.currency, t.debits_posted, t.credits_posted, t.debits_pending, t.credits_pending,
    t.recorded_at, t.effective_at;

-- name: restore_entries
-- ... and inserts what the log says, after all are deleted: no wrong row holds a unique key.
INSERT INTO read.entries (
    ledger, account_id, position, line, transaction_id, kind, side, amount, currency,
    debits_posted, credits_posted, debits_pending, credits_pending, recorded_at, effective_at
)
SELECT
    ledger, account_id, position, line, transaction_id, kind, side, amount, currency,
    debits_posted, credits_posted, debits_pending, credits_pending, recorded_at, effective_at
FROM json_populate_recordset(NULL::read.entries, $1::json);

-- name: remove_transactions
-- As above. By id, since one may stand at another position: the table is read once.
DELETE FROM read.transactions AS t
USING json_populate_recordset(NULL::read.transactions, $1::json) AS named
WHERE t.transaction_id = named.transaction_id
RETURNING
    t.transaction_id, t.ledger, t.position, t.idempotency_key, t.kind, t.stage, t.code,
    t.detail, t.source_account_id, t.destination_account_id, t.amount, t.currency, t.postings,
    t.description, t.reference, t.metadata, t.rate, t.about, t.due_at, t.effective_at,
    t.recorded_at;

-- name: restore_transactions
-- As above.
INSERT INTO read.transactions (
    transaction_id, ledger, position, idempotency_key, kind, stage, code, detail,
    source_account_id, destination_account_id, amount, currency, postings, description,
    reference, metadata, rate, about, due_at, effective_at, recorded_at
)
SELECT
    transaction_id, ledger, position, idempotency_key, kind, stage, code, detail,
    source_account_id, destination_account_id, amount, currency, postings, description,
    reference, metadata, rate, about, due_at, effective_at, recorded_at
FROM json_populate_recordset(NULL::read.transactions, $1::json);

-- name: remove_mentions
-- As above.
DELETE FROM read.mentions AS t
USING json_populate_recordset(NULL::read.mentions, $1::json) AS named
WHERE t.ledger = named.ledger AND t.account_id = named.account_id AND t.position = named.position
RETURNING
    t.ledger, t.account_id, t.position;

-- name: restore_mentions
-- As above.
INSERT INTO read.mentions (
    ledger, account_id, position
)
SELECT
    ledger, account_id, position
FROM json_populate_recordset(NULL::read.mentions, $1::json);

-- name: remove_moments
-- As above.
DELETE FROM read.moments AS t
USING json_populate_recordset(NULL::read.moments, $1::json) AS named
WHERE t.recorded_at = named.recorded_at
RETURNING
    t.recorded_at, t.position;

-- name: restore_moments
-- As above.
INSERT INTO read.moments (
    recorded_at, position
)
SELECT
    recorded_at, position
FROM json_populate_recordset(NULL::read.moments, $1::json);

-- name: remove_balances
-- As above.
DELETE FROM read.balances AS t
USING json_populate_recordset(NULL::read.balances, $1::json) AS named
WHERE t.ledger = named.ledger AND t.account_id = named.account_id
RETURNING
    t.ledger, t.account_id, t.debits_posted, t.credits_posted, t.debits_pending,
    t.credits_pending, t.position, t.as_of;

-- name: restore_balances
-- As above.
INSERT INTO read.balances (
    ledger, account_id, debits_posted, credits_posted, debits_pending, credits_pending,
    position, as_of
)
SELECT
    ledger, account_id, debits_posted, credits_posted, debits_pending, credits_pending,
    position, as_of
FROM json_populate_recordset(NULL::read.balances, $1::json);

-- name: remove_accounts
-- As above.
DELETE FROM read.accounts AS t
USING json_populate_recordset(NULL::read.accounts, $1::json) AS named
WHERE t.ledger = named.ledger AND t.account_id = named.account_id
RETURNING
    t.ledger, t.account_id, t.account_class, t.account_type, t.currency, t.normal_side,
    t.overdraft_limit, t.status, t.version, t.metadata, t.opened_at;

-- name: restore_accounts
-- As above.
INSERT INTO read.accounts (
    ledger, account_id, account_class, account_type, currency, normal_side, overdraft_limit,
    status, version, metadata, opened_at
)
SELECT
    ledger, account_id, account_class, account_type, currency, normal_side, overdraft_limit,
    status, version, metadata, opened_at
FROM json_populate_recordset(NULL::read.accounts, $1::json);

-- name: remove_standings
-- As above.
DELETE FROM read.standings AS t
USING json_populate_recordset(NULL::read.standings, $1::json) AS named
WHERE t.transaction_id = named.transaction_id
RETURNING
    t.transaction_id, t.stage, t.used, t.code, t.detail, t.position, t.changed_at;

-- name: restore_standings
-- As above.
INSERT INTO read.standings (
    transaction_id, stage, used, code, detail, position, changed_at
)
SELECT
    transaction_id, stage, used, code, detail, position, changed_at
FROM json_populate_recordset(NULL::read.standings, $1::json);

-- name: remove_books
-- As above.
DELETE FROM read.books AS t
USING json_populate_recordset(NULL::read.books, $1::json) AS named
WHERE t.ledger = named.ledger
RETURNING
    t.ledger, t.closed_before, t.version, t.position;

-- name: restore_books
-- As above.
INSERT INTO read.books (
    ledger, closed_before, version, position
)
SELECT
    ledger, closed_before, version, position
FROM json_populate_recordset(NULL::read.books, $1::json);

-- name: remove_command_accounts
-- As above.
DELETE FROM command.accounts AS t
USING json_populate_recordset(NULL::command.accounts, $1::json) AS named
WHERE t.ledger = named.ledger AND t.account_id = named.account_id
RETURNING
    t.ledger, t.account_id, t.account_class, t.account_type, t.currency, t.normal_side,
    t.overdraft_limit, t.status, t.version, t.metadata, t.debits_posted, t.credits_posted,
    t.debits_pending, t.credits_pending, t.position;

-- name: restore_command_accounts
-- As above.
INSERT INTO command.accounts (
    ledger, account_id, account_class, account_type, currency, normal_side, overdraft_limit,
    status, version, metadata, debits_posted, credits_posted, debits_pending, credits_pending,
    position
)
SELECT
    ledger, account_id, account_class, account_type, currency, normal_side, overdraft_limit,
    status, version, metadata, debits_posted, credits_posted, debits_pending, credits_pending,
    position
FROM json_populate_recordset(NULL::command.accounts, $1::json);

-- name: remove_command_standings
-- As above.
DELETE FROM command.standings AS t
USING json_populate_recordset(NULL::command.standings, $1::json) AS named
WHERE t.transaction_id = named.transaction_id
RETURNING
    t.transaction_id, t.stage, t.used, t.due_at;

-- name: restore_command_standings
-- As above.
INSERT INTO command.standings (
    transaction_id, stage, used, due_at
)
SELECT
    transaction_id, stage, used, due_at
FROM json_populate_recordset(NULL::command.standings, $1::json);

-- name: remove_command_books
-- As above.
DELETE FROM command.books AS t
USING json_populate_recordset(NULL::command.books, $1::json) AS named
WHERE t.ledger = named.ledger
RETURNING
    t.ledger, t.closed_before, t.version;

-- name: restore_command_books
-- As above.
INSERT INTO command.books (
    ledger, closed_before, version
)
SELECT
    ledger, closed_before, version
FROM json_populate_recordset(NULL::command.books, $1::json);

-- name: command_account
-- One account, for a repair of just that.
SELECT
    ledger, account_id, account_class, account_type, currency, normal_side, overdraft_limit,
    status, version, metadata, debits_posted, credits_posted, debits_pending, credits_pending,
    position
FROM command.accounts WHERE ledger = $1 AND account_id = $2;

-- name: touch_head
-- Writers drop what they remember of rows that were wrong, and read again.
UPDATE events.head SET mended = mended + 1;

-- name: touch_checkpoint
-- The same for the balances that a projector remembers.
UPDATE events.checkpoints SET moved_at = moved_at WHERE reader = 'projector';

-- name: record_repair
-- In the transaction of the repair, so that no row is repaired without its record.
INSERT INTO read.repairs (
    repair_id, ledger, account_id, wanted, applied_by, reason, fingerprint, checkpoint, head,
    row_count, changes, applied_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: record_repair_check
-- The result of the comparison after the repair.
INSERT INTO read.repair_checks (repair_id, checked_at, checkpoint, head, remaining)
VALUES ($1, $2, $3, $4, $5);

-- name: repairs
-- Those of a ledger, or one of them, newest first. No ledger sees a repair of all ledgers.
SELECT
    r.repair_id, r.account_id, r.applied_by, r.reason, r.fingerprint, r.checkpoint, r.row_count,
    r.changes, r.applied_at, checked.checked_at, checked.remaining
FROM read.repairs AS r
LEFT JOIN LATERAL (
    SELECT c.checked_at, c.remaining FROM read.repair_checks AS c
    WHERE c.repair_id = r.repair_id
    ORDER BY c.checked_at DESC LIMIT 1
) AS checked ON TRUE
WHERE r.ledger = $1 AND ($2::uuid IS NULL OR r.repair_id = $2)
ORDER BY r.applied_at DESC, r.repair_id DESC
LIMIT $3;

-- name: reconciliation_scope
-- The scope of a reconciliation, so that its rows can be repaired; of one ledger, if given.
SELECT ledger, account_id FROM read.reconciliations
WHERE reconciliation_id = $1 AND ($2::text IS NULL OR ledger = $2);

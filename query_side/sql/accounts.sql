-- name: account
-- Policy and counters in one query; an account always has both.
SELECT
    a.account_id, a.account_class, a.account_type, a.currency, a.normal_side, a.overdraft_limit,
    a.status, a.version, a.metadata, a.opened_at, b.debits_posted, b.credits_posted,
    b.debits_pending, b.credits_pending, b.position, b.as_of
FROM read.accounts AS a
INNER JOIN read.balances AS b ON a.ledger = b.ledger AND a.account_id = b.account_id
WHERE a.ledger = $1 AND a.account_id = $2;

-- name: books
-- No row means that the ledger's books were never closed.
SELECT closed_before, position FROM read.books WHERE ledger = $1;

-- name: account_keys
-- By id, in the order of character codes, whatever the database's own collation is.
(
    SELECT account_id FROM read.accounts
    WHERE
        $3::boolean AND ledger = $5
        AND account_id COLLATE "C" >= $1 AND account_id COLLATE "C" < $2
    ORDER BY account_id COLLATE "C"
    LIMIT $4
)
UNION ALL
(
    SELECT account_id FROM read.accounts
    WHERE
        NOT $3::boolean AND ledger = $5
        AND account_id COLLATE "C" >= $1 AND account_id COLLATE "C" < $2
    ORDER BY account_id COLLATE "C" DESC
    LIMIT $4
);

-- name: account_rows
-- Policy and counters; an account always has both.
WITH looked AS (
    SELECT account_id, place
    FROM unnest($2::text[]) WITH ORDINALITY AS looked (account_id, place)
),

found AS (
    SELECT
        looked.place, a.account_id, a.account_class, a.account_type, a.currency, a.normal_side,
        a.overdraft_limit, a.status, a.version, a.metadata, a.opened_at, b.debits_posted,
        b.credits_posted, b.debits_pending, b.credits_pending, b.position, b.as_of,
        CASE a.normal_side
            WHEN 'credit' THEN b.credits_posted - b.debits_posted
            ELSE b.debits_posted - b.credits_posted
        END AS balance
    FROM looked
    INNER JOIN read.accounts AS a ON a.ledger = $3 AND looked.account_id = a.account_id
    INNER JOIN read.balances AS b ON a.ledger = b.ledger AND a.account_id = b.account_id
)

SELECT
    f.account_id, f.account_class, f.account_type, f.currency, f.normal_side, f.overdraft_limit,
    f.status, f.version, f.metadata, f.opened_at, f.debits_posted, f.credits_posted,
    f.debits_pending, f.credits_pending, f.position, f.as_of
FROM found AS f
WHERE
    ($4::text IS NULL OR f.account_class = $4)
    AND ($5::text IS NULL OR f.account_type = $5)
    AND ($6::text IS NULL OR f.status = $6)
    AND ($7::text IS NULL OR f.currency = $7)
    AND ($8::numeric IS NULL OR f.balance >= $8)
    AND ($9::numeric IS NULL OR f.balance <= $9)
    AND ($10::timestamptz IS NULL OR f.opened_at >= $10)
    AND ($11::timestamptz IS NULL OR f.opened_at < $11)
    AND (
        $12::text IS NULL
        OR read.contains(f.account_id, $12)
        OR EXISTS (
            SELECT FROM json_each_text(f.metadata::json) AS note (key, value)
            WHERE read.contains(note.value, $12)
        )
    )
    AND NOT EXISTS (
        SELECT FROM unnest($13::text[], $14::text[]) AS wanted (key, value)
        WHERE
            CASE json_typeof(f.metadata::json -> wanted.key)
                WHEN 'null' THEN 'null' ELSE f.metadata::json ->> wanted.key
            END IS DISTINCT FROM wanted.value
    )
ORDER BY f.place
LIMIT $1;

-- name: audit_trail_keys
-- All events of the log that concern an account: those that moved it, those that name it, and those
-- of its own stream, as far as they are projected.
(
    SELECT DISTINCT e.position AS notification_id FROM read.entries AS e
    WHERE
        $3::boolean AND e.ledger = $5 AND e.account_id = $6
        AND e.position >= $1 AND e.position < $2
    ORDER BY e.position
    LIMIT $4
)
UNION
(
    SELECT DISTINCT e.position FROM read.entries AS e
    WHERE
        NOT $3::boolean AND e.ledger = $5 AND e.account_id = $6
        AND e.position >= $1 AND e.position < $2
    ORDER BY e.position DESC
    LIMIT $4
)
UNION
(
    SELECT m.position FROM read.mentions AS m
    WHERE
        $3::boolean AND m.ledger = $5 AND m.account_id = $6
        AND m.position >= $1 AND m.position < $2
    ORDER BY m.position
    LIMIT $4
)
UNION
(
    SELECT m.position FROM read.mentions AS m
    WHERE
        NOT $3::boolean AND m.ledger = $5 AND m.account_id = $6
        AND m.position >= $1 AND m.position < $2
    ORDER BY m.position DESC
    LIMIT $4
)
UNION
(
    SELECT s.notification_id FROM events.daybook_events AS s
    WHERE
        $3::boolean AND s.originator_id = $7
        AND s.notification_id >= $1 AND s.notification_id < $2
        AND s.notification_id <= (
            SELECT c.position FROM events.checkpoints AS c WHERE c.reader = 'projector'
        )
    ORDER BY s.originator_version
    LIMIT $4
)
UNION
(
    SELECT s.notification_id FROM events.daybook_events AS s
    WHERE
        NOT $3::boolean AND s.originator_id = $7
        AND s.notification_id >= $1 AND s.notification_id < $2
        AND s.notification_id <= (
            SELECT c.position FROM events.checkpoints AS c WHERE c.reader = 'projector'
        )
    ORDER BY s.originator_version DESC
    LIMIT $4
);

-- name: event_rows
-- From the log itself, so that events are shown as they were recorded.
WITH looked AS (
    SELECT position, place
    FROM unnest($2::bigint[]) WITH ORDINALITY AS looked (position, place)
)

SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state
FROM looked
INNER JOIN events.daybook_events AS e ON looked.position = e.notification_id
ORDER BY looked.place
LIMIT $1;

-- name: statement_account
-- The properties that an account was opened with never change, so they are true of every point.
SELECT account_class, account_type, currency, normal_side, opened_at
FROM read.accounts WHERE ledger = $1 AND account_id = $2;

-- name: balance_now
-- The counters of now come from the account's own row, which reconciliation compares.
SELECT debits_posted, credits_posted, debits_pending, credits_pending, position, as_of
FROM read.balances WHERE ledger = $1 AND account_id = $2;

-- name: balance_at
-- The last entry up to a position carries the counters, and the entries' key finds it in one step.
SELECT
    debits_posted, credits_posted, debits_pending, credits_pending, position, recorded_at AS as_of
FROM read.entries
WHERE ledger = $1 AND account_id = $2 AND position <= $3
ORDER BY position DESC, line DESC
LIMIT 1;

-- name: dated_back
-- The sums of entries that were recorded after one position, up to another, and dated back before a
-- time. The index holds entries that were dated back only, so no others are read.
SELECT
    coalesce(sum(amount) FILTER (WHERE side = 'debit'), 0) AS debits,
    coalesce(sum(amount) FILTER (WHERE side = 'credit'), 0) AS credits,
    max(position) AS position, max(recorded_at) AS as_of
FROM read.entries
WHERE
    ledger = $1 AND account_id = $2 AND position > $3 AND position <= $4 AND effective_at < $5;

-- name: opened_at_position
-- The position at which an account was opened; only an account without entries needs it.
SELECT notification_id FROM events.daybook_events
WHERE originator_id = $1 AND originator_version = 1;

-- name: difference
-- The entries of an account between two positions, newest first, by the entries' own key; the
-- cursor is the last (position, line) of the page before. The page is cut before its transactions
-- are read.
WITH page AS MATERIALIZED (
    SELECT
        e.position, e.line, e.transaction_id, e.kind, e.side, e.amount, e.recorded_at,
        e.effective_at
    FROM read.entries AS e
    WHERE
        e.ledger = $1 AND e.account_id = $2 AND e.position > $3 AND (e.position, e.line) < ($4, $5)
    ORDER BY e.position DESC, e.line DESC
    LIMIT $6
)

SELECT
    page.position, page.line, page.transaction_id, page.kind, page.side, page.amount,
    page.recorded_at, page.effective_at, t.kind AS transaction_kind, t.reference, t.description
FROM page
INNER JOIN events.daybook_events AS f
    ON page.transaction_id = f.originator_id AND f.originator_version = 1
INNER JOIN read.transactions AS t ON t.ledger = $1 AND f.notification_id = t.position
ORDER BY page.position DESC, page.line DESC;

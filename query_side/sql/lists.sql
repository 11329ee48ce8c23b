-- name: plan_for_any
-- One plan for whatever is asked for, until the transaction ends: through the index that a query is
-- written for, key by key. Planned for thousands of given keys, PostgreSQL reads the whole table
-- instead (measured: 206 ms for what takes 6 ms).
SELECT set_config('plan_cache_mode', 'force_generic_plan', TRUE);

-- name: position_before
-- Recorded times follow positions, so a time is a place in the log.
SELECT position FROM read.moments WHERE recorded_at < $1 ORDER BY recorded_at DESC LIMIT 1;

-- Looking: the next keys of a list, by one index and without a filter. Of the branches for up and
-- down only one is executed, because the parameter is known before any row is read. The caller puts
-- what it gets in order and cuts what is too much.

-- name: look_transactions
-- Of a whole ledger.
(
    SELECT t.position FROM read.transactions AS t
    WHERE $3::boolean AND t.ledger = $5 AND t.position >= $1 AND t.position < $2
    ORDER BY t.position
    LIMIT $4
)
UNION ALL
(
    SELECT t.position FROM read.transactions AS t
    WHERE NOT $3::boolean AND t.ledger = $5 AND t.position >= $1 AND t.position < $2
    ORDER BY t.position DESC
    LIMIT $4
);

-- name: look_transactions_of_account
-- An account's transactions made entries of it, or are mentioned. Positions of a transaction's
-- second event are among them; no transaction begins there, so none is picked.
(
    SELECT DISTINCT e.position FROM read.entries AS e
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
);

-- name: look_transactions_by_reference
-- Few transactions have one, and the index holds these only.
(
    SELECT t.position FROM read.transactions AS t
    WHERE
        $3::boolean AND t.ledger = $5 AND t.reference = $6
        AND t.position >= $1 AND t.position < $2
    ORDER BY t.position
    LIMIT $4
)
UNION ALL
(
    SELECT t.position FROM read.transactions AS t
    WHERE
        NOT $3::boolean AND t.ledger = $5 AND t.reference = $6
        AND t.position >= $1 AND t.position < $2
    ORDER BY t.position DESC
    LIMIT $4
);

-- name: look_transactions_about
-- The same of what refers to an earlier transaction.
(
    SELECT t.position FROM read.transactions AS t
    WHERE
        $3::boolean AND t.ledger = $5 AND t.about = $6
        AND t.position >= $1 AND t.position < $2
    ORDER BY t.position
    LIMIT $4
)
UNION ALL
(
    SELECT t.position FROM read.transactions AS t
    WHERE
        NOT $3::boolean AND t.ledger = $5 AND t.about = $6
        AND t.position >= $1 AND t.position < $2
    ORDER BY t.position DESC
    LIMIT $4
);

-- name: look_entries
-- Of a whole ledger.
(
    SELECT e.position, e.line FROM read.entries AS e
    WHERE
        $5::boolean AND e.ledger = $7
        AND (e.position, e.line) >= ($1::bigint, $2::bigint)
        AND (e.position, e.line) < ($3::bigint, $4::bigint)
    ORDER BY e.position, e.line
    LIMIT $6
)
UNION ALL
(
    SELECT e.position, e.line FROM read.entries AS e
    WHERE
        NOT $5::boolean AND e.ledger = $7
        AND (e.position, e.line) >= ($1::bigint, $2::bigint)
        AND (e.position, e.line) < ($3::bigint, $4::bigint)
    ORDER BY e.position DESC, e.line DESC
    LIMIT $6
);

-- name: look_entries_of_account
-- By the entries' own key.
(
    SELECT e.position, e.line FROM read.entries AS e
    WHERE
        $5::boolean AND e.ledger = $7 AND e.account_id = $8
        AND (e.position, e.line) >= ($1::bigint, $2::bigint)
        AND (e.position, e.line) < ($3::bigint, $4::bigint)
    ORDER BY e.position, e.line
    LIMIT $6
)
UNION ALL
(
    SELECT e.position, e.line FROM read.entries AS e
    WHERE
        NOT $5::boolean AND e.ledger = $7 AND e.account_id = $8
        AND (e.position, e.line) >= ($1::bigint, $2::bigint)
        AND (e.position, e.line) < ($3::bigint, $4::bigint)
    ORDER BY e.position DESC, e.line DESC
    LIMIT $6
);

-- name: look_entries_of_transaction
-- No index on the transaction: its events are in the log under its id, and lead to its entries by
-- their positions. They are so few that their order needs no index.
SELECT e.position, e.line
FROM events.daybook_events AS s
INNER JOIN read.entries AS e ON e.ledger = $7 AND s.notification_id = e.position
WHERE
    s.originator_id = $8
    AND ($9::text IS NULL OR e.account_id = $9)
    AND (e.position, e.line) >= ($1::bigint, $2::bigint)
    AND (e.position, e.line) < ($3::bigint, $4::bigint)
ORDER BY
    CASE WHEN $5::boolean THEN e.position ELSE -e.position END,
    CASE WHEN $5::boolean THEN e.line ELSE -e.line END
LIMIT $6;

-- name: look_accounts
-- By id, in the order of its characters' codes whatever the database's own collation is.
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

-- name: look_audit_trail
-- Everything in the log that concerns an account: what moved it, what names it, its own stream (as
-- far as it is projected).
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

-- Picking: the rows of some keys that every filter lets through, in the order of the keys. A filter
-- that is not given is null.

-- name: pick_transactions
-- The amount in a currency is that of all postings in it.
WITH looked AS (
    SELECT position, place
    FROM unnest($2::bigint[]) WITH ORDINALITY AS looked (position, place)
),

found AS (
    SELECT
        looked.place, t.transaction_id, t.position, t.idempotency_key, t.kind,
        coalesce(s.stage, t.stage) AS status, coalesce(s.code, t.code) AS code,
        coalesce(s.detail, t.detail) AS detail, t.source_account_id, t.destination_account_id,
        t.amount, t.currency, t.postings, t.description, t.reference, t.metadata, t.rate, t.about,
        t.due_at, t.effective_at, t.recorded_at, s.used, s.position AS changed_position,
        s.changed_at, coalesce(t.effective_at, t.recorded_at) AS effective,
        CASE
            WHEN t.postings IS NOT NULL
                THEN (
                    SELECT sum((p.posting ->> 'amount')::numeric)
                    FROM json_array_elements(t.postings::json) AS p (posting)
                    WHERE p.posting ->> 'currency' = $7
                )
            WHEN t.currency = $7 THEN t.amount
        END AS amount_asked
    FROM looked
    INNER JOIN read.transactions AS t ON t.ledger = $3 AND looked.position = t.position
    LEFT JOIN read.standings AS s ON t.transaction_id = s.transaction_id
)

SELECT
    f.transaction_id, f.position, f.idempotency_key, f.kind, f.status, f.code, f.detail,
    f.source_account_id, f.destination_account_id, f.amount, f.currency, f.postings,
    f.description, f.reference, f.metadata, f.rate, f.about, f.due_at, f.effective_at,
    f.recorded_at, f.used, f.changed_position, f.changed_at
FROM found AS f
WHERE
    (
        $4::text IS NULL
        OR EXISTS (
            SELECT FROM read.entries AS e
            WHERE e.ledger = $3 AND e.account_id = $4 AND e.position = f.position
        )
        OR EXISTS (
            SELECT FROM read.mentions AS m
            WHERE m.ledger = $3 AND m.account_id = $4 AND m.position = f.position
        )
    )
    AND ($5::text IS NULL OR f.status = $5)
    AND ($6::text IS NULL OR f.kind = $6)
    AND ($7::text IS NULL OR f.amount_asked IS NOT NULL)
    AND ($8::numeric IS NULL OR f.amount_asked >= $8)
    AND ($9::numeric IS NULL OR f.amount_asked <= $9)
    AND ($10::timestamptz IS NULL OR f.effective >= $10)
    AND ($11::timestamptz IS NULL OR f.effective < $11)
    AND ($12::text IS NULL OR f.reference = $12)
    AND (
        $13::text IS NULL
        OR read.contains(f.idempotency_key, $13)
        OR read.contains(f.reference, $13)
        OR read.contains(f.description, $13)
    )
    AND NOT EXISTS (
        SELECT FROM unnest($14::text[], $15::text[]) AS wanted (key, value)
        WHERE
            CASE json_typeof(f.metadata::json -> wanted.key)
                WHEN 'null' THEN 'null' ELSE f.metadata::json ->> wanted.key
            END IS DISTINCT FROM wanted.value
    )
ORDER BY f.place
LIMIT $1;

-- name: pick_entries
-- With the account's normal side, which says what its balance is.
WITH looked AS (
    SELECT position, line, place
    FROM unnest($2::bigint[], $3::int[]) WITH ORDINALITY AS looked (position, line, place)
)

SELECT
    e.account_id, e.position, e.line, e.transaction_id, e.kind, e.side, e.amount, e.currency,
    e.debits_posted, e.credits_posted, e.debits_pending, e.credits_pending, e.recorded_at,
    e.effective_at, a.normal_side
FROM looked
INNER JOIN read.entries AS e
    ON e.ledger = $4 AND looked.position = e.position AND looked.line = e.line
INNER JOIN read.accounts AS a ON e.ledger = a.ledger AND e.account_id = a.account_id
WHERE
    ($5::text IS NULL OR e.kind = $5)
    AND ($6::text IS NULL OR e.side = $6)
    AND ($7::text IS NULL OR e.currency = $7)
    AND ($8::numeric IS NULL OR e.amount >= $8)
    AND ($9::numeric IS NULL OR e.amount <= $9)
    AND ($10::timestamptz IS NULL OR coalesce(e.effective_at, e.recorded_at) >= $10)
    AND ($11::timestamptz IS NULL OR coalesce(e.effective_at, e.recorded_at) < $11)
ORDER BY looked.place
LIMIT $1;

-- name: pick_accounts
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

-- name: pick_events
-- From the log itself: as they were recorded.
WITH looked AS (
    SELECT position, place
    FROM unnest($2::bigint[]) WITH ORDINALITY AS looked (position, place)
)

SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state
FROM looked
INNER JOIN events.daybook_events AS e ON looked.position = e.notification_id
ORDER BY looked.place
LIMIT $1;

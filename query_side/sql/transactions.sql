-- name: transaction
-- By id (which follows from the idempotency key): what its first event says, and its state now. The
-- log leads to the row, because the first event is at the position of the transaction.
SELECT
    t.transaction_id, t.position, t.idempotency_key, t.kind,
    coalesce(s.stage, t.stage) AS status, coalesce(s.code, t.code) AS code,
    coalesce(s.detail, t.detail) AS detail, t.source_account_id, t.destination_account_id,
    t.amount, t.currency, t.postings, t.description, t.reference, t.metadata, t.rate, t.about,
    t.due_at, t.effective_at, t.recorded_at, s.used, s.position AS changed_position, s.changed_at
FROM events.daybook_events AS f
INNER JOIN read.transactions AS t ON t.ledger = $2 AND f.notification_id = t.position
LEFT JOIN read.standings AS s ON t.transaction_id = s.transaction_id
WHERE f.originator_id = $1 AND f.originator_version = 1 AND t.transaction_id = $1;

-- name: related
-- The transactions that refer to a transaction, newest first.
SELECT t.transaction_id, t.kind, coalesce(s.stage, t.stage) AS status
FROM read.transactions AS t
LEFT JOIN read.standings AS s ON t.transaction_id = s.transaction_id
WHERE t.about = $1 AND t.ledger = $2
ORDER BY t.position DESC
LIMIT $3;

-- name: submitted
-- Whether the log has a transaction, projected or not: one look at the log's primary key.
SELECT EXISTS(
    SELECT 1 FROM events.daybook_events WHERE originator_id = $1 AND originator_version = 1
);

-- name: transaction_entries
-- Entries have no index on the transaction. Its events are in the log under its id, and their
-- positions lead to its entries.
SELECT e.account_id, e.position, e.line, e.kind, e.side, e.amount, e.currency
FROM events.daybook_events AS s
INNER JOIN read.entries AS e ON e.ledger = $2 AND s.notification_id = e.position
WHERE s.originator_id = $1
ORDER BY e.position, e.line;

-- name: transaction_keys
-- Keys of a whole ledger.
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

-- name: transaction_keys_of_account
-- Keys of an account: positions of its entries, and of events that name it. Some of them are of the
-- second event of a transaction; no transaction begins there, so the row query finds none.
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

-- name: transaction_keys_by_reference
-- Few transactions have a reference, and the index holds only those.
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

-- name: transaction_keys_about
-- Keys of transactions that refer to one transaction, by an index that holds only such.
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

-- name: transaction_rows
-- The amount that is compared is the sum of all postings in the currency that is asked for.
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

-- name: entry_keys
-- Keys of a whole ledger.
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

-- name: entry_keys_of_account
-- Keys of an account, by the entries' own primary key.
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

-- name: entry_keys_of_transaction
-- Entries have no index on the transaction. Its events are in the log under its id, and their
-- positions lead to its entries, which are so few that sorting them needs no index.
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

-- name: entry_rows
-- With the account's normal side, which gives the balance its sign.
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

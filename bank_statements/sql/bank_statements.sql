-- name: lock_matching
-- Matchings of one account's entries take turns; the lock ends with the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('daybook.external|' || $1 || '|' || $2, 0)) AS locked;

-- name: matched_account
-- The account that mirrors the bank's.
SELECT currency, normal_side FROM read.accounts WHERE ledger = $1 AND account_id = $2;

-- name: external_statement
-- Another ledger's is not there.
SELECT
    s.statement_id, s.statement_number, s.account_id, s.file_sha256, s.reader, s.terms,
    s.external_account, s.currency, s.starts_on, s.ends_on, s.opening, s.closing, s.mismatches,
    s.position, s.imported_by, s.imported_at
FROM external.statements AS s
WHERE s.ledger = $1 AND s.statement_id = $2;

-- name: statements_after
-- A page of a ledger's statements, newest first, below a number.
SELECT
    s.statement_id, s.statement_number, s.account_id, s.file_sha256, s.reader, s.terms,
    s.external_account, s.currency, s.starts_on, s.ends_on, s.opening, s.closing, s.mismatches,
    s.position, s.imported_by, s.imported_at
FROM external.statements AS s
WHERE s.ledger = $1 AND s.statement_number < $2 AND ($3::text IS NULL OR s.account_id = $3)
ORDER BY s.statement_number DESC
LIMIT $4;

-- name: add_statement
-- Only the first of the same file: false for any later one.
INSERT INTO external.statements (
    statement_id, ledger, account_id, file_sha256, reader, terms, external_account, currency,
    starts_on, ends_on, opening, closing, mismatches, position, imported_by
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT ON CONSTRAINT statements_pkey DO NOTHING
RETURNING TRUE;

-- name: add_lines
-- One parameter, however many lines.
INSERT INTO external.lines (
    statement_id, line_number, booked_on, value_on, amount, refs, counterparty, description
)
SELECT $1 AS statement_id, line_number, booked_on, value_on, amount, refs, counterparty, description
FROM json_populate_recordset(NULL::external.lines, $2);

-- name: matched_again
-- What it was matched on last, and as of which position.
UPDATE external.statements SET terms = $2, position = $3 WHERE statement_id = $1;

-- name: lines_to_match
-- What is in no match.
SELECT l.line_number, l.booked_on, l.value_on, l.amount, l.refs, l.counterparty, l.description
FROM external.lines AS l
WHERE
    l.statement_id = $1
    AND NOT EXISTS (
        SELECT FROM external.match_lines AS m
        WHERE m.statement_id = l.statement_id AND m.line_number = l.line_number AND m.live
    )
ORDER BY l.line_number;

-- name: entries_to_match
-- What was posted between two times and is in no match of any statement. By recorded time it is a
-- range of positions, in the order of the entries' key; what was dated back has its own index.
WITH of_account AS (
    SELECT e.position, e.line, e.transaction_id, e.side, e.amount, e.recorded_at AS booked_at
    FROM read.entries AS e
    WHERE
        e.ledger = $1 AND e.account_id = $2 AND e.kind = 'posted' AND e.effective_at IS NULL
        AND e.position > coalesce((
            SELECT m.position FROM read.moments AS m
            WHERE m.recorded_at < $3 ORDER BY m.recorded_at DESC LIMIT 1
        ), 0)
        AND e.position <= coalesce((
            SELECT m.position FROM read.moments AS m
            WHERE m.recorded_at < $4 ORDER BY m.recorded_at DESC LIMIT 1
        ), 0)
    UNION ALL
    SELECT e.position, e.line, e.transaction_id, e.side, e.amount, e.effective_at AS booked_at
    FROM read.entries AS e
    WHERE
        e.ledger = $1 AND e.account_id = $2 AND e.kind = 'posted'
        AND e.effective_at >= $3 AND e.effective_at < $4
)

SELECT
    e.position, e.line, e.transaction_id, e.side, e.amount, e.booked_at, t.idempotency_key,
    t.reference, t.description, t.source_account_id, t.destination_account_id
FROM of_account AS e
INNER JOIN events.daybook_events AS f
    ON e.transaction_id = f.originator_id AND f.originator_version = 1
INNER JOIN read.transactions AS t ON t.ledger = $1 AND f.notification_id = t.position
WHERE
    NOT EXISTS (
        SELECT FROM external.match_entries AS m
        WHERE m.position = e.position AND m.line = e.line AND m.live
    )
ORDER BY e.position, e.line
LIMIT $5;

-- name: rejected_links
-- What a person said no to: it is not proposed again.
SELECT
    array(
        SELECT l.line_number FROM external.match_lines AS l
        WHERE l.statement_id = m.statement_id AND l.match_number = m.match_number
        ORDER BY l.line_number
    ) AS line_numbers,
    (
        SELECT array_agg(e.position ORDER BY e.position, e.line) FROM external.match_entries AS e
        WHERE e.statement_id = m.statement_id AND e.match_number = m.match_number
    ) AS positions
FROM external.matches AS m
WHERE m.statement_id = $1 AND m.status = 'rejected';

-- name: last_match
-- Matches are numbered in their statement, under the account's lock.
SELECT coalesce(max(match_number), 0) AS last FROM external.matches WHERE statement_id = $1;

-- name: add_matches
-- One parameter, however many matches.
INSERT INTO external.matches (
    statement_id, match_number, status, rule, confidence, explanation, amount_difference, days_apart
)
SELECT
    $1 AS statement_id, match_number, status, rule, confidence, explanation, amount_difference,
    days_apart
FROM json_populate_recordset(NULL::external.matches, $2);

-- name: add_match_lines
-- The index refuses a line that is taken.
INSERT INTO external.match_lines (statement_id, match_number, line_number)
SELECT $1 AS statement_id, match_number, line_number
FROM json_populate_recordset(NULL::external.match_lines, $2);

-- name: add_match_entries
-- The index refuses an entry that is taken.
INSERT INTO external.match_entries (
    statement_id, match_number, position, line, transaction_id, amount
)
SELECT $1 AS statement_id, match_number, position, line, transaction_id, amount
FROM json_populate_recordset(NULL::external.match_entries, $2);

-- name: clear_candidates
-- What the lines could have been when they were matched before.
UPDATE external.lines SET candidates = '[]' WHERE statement_id = $1 AND candidates <> '[]';

-- name: set_candidates
-- What those that are still unmatched could be now.
UPDATE external.lines AS l SET candidates = c.candidates
FROM json_populate_recordset(NULL::external.lines, $2) AS c
WHERE l.statement_id = $1 AND l.line_number = c.line_number;

-- name: lines_after
-- A page of a statement's lines, with the match that each is in.
SELECT
    l.line_number, l.booked_on, l.value_on, l.amount, l.refs, l.counterparty, l.description,
    l.candidates, m.match_number, m.status
FROM external.lines AS l
LEFT JOIN external.match_lines AS k
    ON l.statement_id = k.statement_id AND l.line_number = k.line_number AND k.live
LEFT JOIN external.matches AS m
    ON k.statement_id = m.statement_id AND k.match_number = m.match_number
WHERE l.statement_id = $1 AND l.line_number > $2
ORDER BY l.line_number
LIMIT $3;

-- name: matches_after
-- A page of a statement's matches, of one status if it is given, with what they link and who said
-- what of them, as JSON.
SELECT
    m.match_number, m.status, m.rule, m.confidence, m.explanation, m.amount_difference,
    m.days_apart, m.proposed_at,
    array(
        SELECT l.line_number FROM external.match_lines AS l
        WHERE l.statement_id = m.statement_id AND l.match_number = m.match_number
        ORDER BY l.line_number
    ) AS line_numbers,
    (
        SELECT
            json_agg(
                json_build_object(
                    'transaction_id', e.transaction_id, 'position', e.position, 'line', e.line,
                    'minor', e.amount::text
                ) ORDER BY e.position, e.line
            )
        FROM external.match_entries AS e
        WHERE e.statement_id = m.statement_id AND e.match_number = m.match_number
    ) AS entries,
    (
        SELECT
            json_agg(
                json_build_object(
                    'verdict', d.verdict, 'decided_by', d.decided_by, 'decided_at', d.decided_at,
                    'reason', d.reason
                ) ORDER BY d.decision_number
            )
        FROM external.decisions AS d
        WHERE d.statement_id = m.statement_id AND d.match_number = m.match_number
    ) AS decisions
FROM external.matches AS m
WHERE m.statement_id = $1 AND m.match_number > $2 AND ($3::text IS NULL OR m.status = $3)
ORDER BY m.match_number
LIMIT $4;

-- name: unmatched_lines_after
-- Discrepancies of lines, a page.
SELECT l.line_number, l.booked_on, l.amount, l.refs, l.counterparty, l.description, l.candidates
FROM external.lines AS l
WHERE
    l.statement_id = $1 AND l.line_number > $2
    AND NOT EXISTS (
        SELECT FROM external.match_lines AS m
        WHERE m.statement_id = l.statement_id AND m.line_number = l.line_number AND m.live
    )
ORDER BY l.line_number
LIMIT $3;

-- name: differing_matches_after
-- Matches that hold and are not exact, a page: by amount, or by more days than were agreed.
SELECT
    m.match_number, m.amount_difference, m.days_apart, m.explanation,
    array(
        SELECT l.line_number FROM external.match_lines AS l
        WHERE l.statement_id = m.statement_id AND l.match_number = m.match_number
        ORDER BY l.line_number
    ) AS line_numbers,
    (
        SELECT sum(e.amount) FROM external.match_entries AS e
        WHERE e.statement_id = m.statement_id AND e.match_number = m.match_number
    ) AS amount,
    (
        SELECT min(e.transaction_id::text) FROM external.match_entries AS e
        WHERE e.statement_id = m.statement_id AND e.match_number = m.match_number
    ) AS transaction_id
FROM external.matches AS m
WHERE
    m.statement_id = $1 AND m.match_number > $2 AND m.status <> 'rejected'
    AND CASE WHEN $3 THEN m.amount_difference <> 0 ELSE m.days_apart > $4 END
ORDER BY m.match_number
LIMIT $5;

-- name: unmatched_entries_after
-- Entries of a statement's days that are in no match, a page: as entries_to_match finds them.
WITH of_account AS (
    SELECT e.position, e.line, e.transaction_id, e.side, e.amount, e.recorded_at AS booked_at
    FROM read.entries AS e
    WHERE
        e.ledger = $1 AND e.account_id = $2 AND e.kind = 'posted' AND e.effective_at IS NULL
        AND e.position > coalesce((
            SELECT m.position FROM read.moments AS m
            WHERE m.recorded_at < $3 ORDER BY m.recorded_at DESC LIMIT 1
        ), 0)
        AND e.position <= coalesce((
            SELECT m.position FROM read.moments AS m
            WHERE m.recorded_at < $4 ORDER BY m.recorded_at DESC LIMIT 1
        ), 0)
    UNION ALL
    SELECT e.position, e.line, e.transaction_id, e.side, e.amount, e.effective_at AS booked_at
    FROM read.entries AS e
    WHERE
        e.ledger = $1 AND e.account_id = $2 AND e.kind = 'posted'
        AND e.effective_at >= $3 AND e.effective_at < $4
)

SELECT e.position, e.line, e.transaction_id, e.side, e.amount, e.booked_at
FROM of_account AS e
WHERE
    (e.position, e.line) > ($5, $6)
    AND NOT EXISTS (
        SELECT FROM external.match_entries AS m
        WHERE m.position = e.position AND m.line = e.line AND m.live
    )
ORDER BY e.position, e.line
LIMIT $7;

-- name: unmatched_entries_summed
-- The same of one or more periods that do not overlap, counted and added up by side.
WITH covered AS (
    SELECT
        p.starts_at, p.ends_at,
        coalesce((
            SELECT m.position FROM read.moments AS m
            WHERE m.recorded_at < p.starts_at ORDER BY m.recorded_at DESC LIMIT 1
        ), 0) AS after,
        coalesce((
            SELECT m.position FROM read.moments AS m
            WHERE m.recorded_at < p.ends_at ORDER BY m.recorded_at DESC LIMIT 1
        ), 0) AS until
    FROM unnest($3::timestamptz[], $4::timestamptz[]) AS p (starts_at, ends_at)
),

of_account AS (
    SELECT e.position, e.line, e.side, e.amount
    FROM covered AS c
    INNER JOIN read.entries AS e ON c.after < e.position AND c.until >= e.position
    WHERE
        e.ledger = $1 AND e.account_id = $2 AND e.kind = 'posted' AND e.effective_at IS NULL
    UNION ALL
    SELECT e.position, e.line, e.side, e.amount
    FROM covered AS c
    INNER JOIN read.entries AS e ON c.starts_at <= e.effective_at AND c.ends_at > e.effective_at
    WHERE e.ledger = $1 AND e.account_id = $2 AND e.kind = 'posted'
)

SELECT e.side, count(*) AS movements, sum(e.amount) AS amount
FROM of_account AS e
WHERE
    NOT EXISTS (
        SELECT FROM external.match_entries AS m
        WHERE m.position = e.position AND m.line = e.line AND m.live
    )
GROUP BY e.side;

-- name: lines_summed
-- Of statements, how many lines are in a match of which status, and their sums by direction.
SELECT
    s.statement_id, s.account_id, s.currency, m.status, l.amount > 0 AS incoming,
    count(*) AS movements, sum(l.amount) AS amount
FROM external.statements AS s
INNER JOIN external.lines AS l ON s.statement_id = l.statement_id
LEFT JOIN external.match_lines AS k
    ON l.statement_id = k.statement_id AND l.line_number = k.line_number AND k.live
LEFT JOIN external.matches AS m
    ON k.statement_id = m.statement_id AND k.match_number = m.match_number
WHERE s.ledger = $1 AND ($2::uuid IS NULL OR s.statement_id = $2)
GROUP BY s.statement_id, s.account_id, s.currency, m.status, l.amount > 0;

-- name: matches_counted
-- Of one statement, by status.
SELECT
    status, count(*) AS matches,
    count(*) FILTER (WHERE amount_difference <> 0) AS amount_differs,
    count(*) FILTER (WHERE days_apart > $2) AS date_differs
FROM external.matches WHERE statement_id = $1
GROUP BY status;

-- name: match_to_decide
-- Under the account's lock, so it stays as it is seen.
SELECT status FROM external.matches WHERE statement_id = $1 AND match_number = $2;

-- name: set_status
-- Its links and the decision are written with it.
UPDATE external.matches SET status = $3 WHERE statement_id = $1 AND match_number = $2;

-- name: release_lines
-- They may be matched again.
UPDATE external.match_lines SET live = FALSE WHERE statement_id = $1 AND match_number = $2;

-- name: release_entries
-- They may be matched again, with any statement.
UPDATE external.match_entries SET live = FALSE WHERE statement_id = $1 AND match_number = $2;

-- name: add_decision
-- Who, when and why stay, whatever becomes of the match.
INSERT INTO external.decisions (statement_id, match_number, verdict, decided_by, reason)
VALUES ($1, $2, $3, $4, $5);

-- name: lines_given
-- The lines that a person links, if there are such.
SELECT line_number, booked_on, amount FROM external.lines
WHERE statement_id = $1 AND line_number = ANY($2::integer[])
ORDER BY line_number;

-- name: entries_given
-- What the transactions that a person links have posted to the account: the log leads to it.
SELECT DISTINCT
    e.position, e.line, e.transaction_id, e.side, e.amount,
    coalesce(e.effective_at, e.recorded_at) AS booked_at
FROM events.daybook_events AS s
INNER JOIN read.entries AS e
    ON s.notification_id = e.position AND e.ledger = $1 AND e.account_id = $2
WHERE
    s.originator_id = ANY($3::uuid[]) AND e.transaction_id = s.originator_id AND e.kind = 'posted'
ORDER BY e.position, e.line;

-- name: matches_of_links
-- Which matches hold any of these lines or entries.
SELECT m.statement_id, m.match_number, m.status
FROM external.matches AS m
WHERE (m.statement_id, m.match_number) IN (
    SELECT l.statement_id, l.match_number FROM external.match_lines AS l
    WHERE l.live AND l.statement_id = $1 AND l.line_number = ANY($2::integer[])
    UNION ALL
    SELECT e.statement_id, e.match_number FROM external.match_entries AS e
    INNER JOIN unnest($3::bigint[], $4::smallint[]) AS given (position, line)
        ON e.position = given.position AND e.line = given.line
    WHERE e.live
)
ORDER BY m.statement_id, m.match_number;

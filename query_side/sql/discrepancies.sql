-- name: latest_discrepancy
-- The last id of all ledgers, from the end of the run's index: following begins after it.
SELECT coalesce(max(id), 0) AS id FROM read.discrepancies
WHERE reconciliation_id = '00000000-0000-0000-0000-000000000001';

-- name: latest_discrepancy_of_ledger
-- The last id of one ledger, which a client may see: it does not tell how many discrepancies other
-- ledgers have. The continuous reconciliation keeps a bounded number of rows; the scan is
-- backwards.
SELECT coalesce((
    SELECT d.id FROM read.discrepancies AS d
    WHERE
        d.reconciliation_id = '00000000-0000-0000-0000-000000000001'
        AND (d.ledger = $1 OR d.kind = 'position_gap')
    ORDER BY d.id DESC
    LIMIT 1
), 0) AS id;

-- name: discrepancies_found
-- New discrepancies of the continuous reconciliation (its id is constant), for all followed
-- ledgers.
SELECT
    id, kind, view, ledger, account_id, transaction_id, position, expected, actual, explanation,
    found_at
FROM read.discrepancies
WHERE
    reconciliation_id = '00000000-0000-0000-0000-000000000001'
    AND (ledger = ANY($1::text[]) OR kind = 'position_gap')
    AND id > $2 AND id <= $3
ORDER BY id
LIMIT $4;

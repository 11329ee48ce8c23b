-- name: plan_for_any
-- Every list has two kinds of queries. A key query (…_keys) finds the next keys, by one index and
-- without a filter. Of its branches for up and down PostgreSQL runs one only, because the parameter
-- is known before any row is read; the caller orders the keys and cuts what is too much. A row
-- query (…_rows) reads the rows of given keys that match every filter; a filter that is not given
-- is null. This query makes PostgreSQL use one plan for all parameters until the transaction ends:
-- by the index that a query is written for, key by key. For thousands of given keys it would plan
-- to read the whole table instead (measured: 206 ms for what takes 6 ms).
SELECT set_config('plan_cache_mode', 'force_generic_plan', TRUE);

-- name: position_before
-- Recorded times follow positions, so a time is a place in the log.
SELECT position FROM read.moments WHERE recorded_at < $1 ORDER BY recorded_at DESC LIMIT 1;

-- Accounts a1, a2, …: their names become their ids before anything refers to them.
SELECT count(*)
FROM generate_series(1, 10000) AS n CROSS JOIN LATERAL pgledger_create_account('a' || n, 'USD');

UPDATE pgledger_accounts SET id = name;

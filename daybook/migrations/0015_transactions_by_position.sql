-- Transactions are found by id through the log, whose primary key knows the position of each.
-- Locks read.transactions for a moment; no row is written anew. An index on random ids is an index
-- less that has to be written all over: after each checkpoint once page by page.

ALTER TABLE read.transactions DROP CONSTRAINT transactions_pkey;
ALTER TABLE read.transactions ALTER COLUMN transaction_id SET NOT NULL;
ALTER TABLE read.transactions
ADD CONSTRAINT transactions_pkey PRIMARY KEY USING INDEX transactions_by_position;

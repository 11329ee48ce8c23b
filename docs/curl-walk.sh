# The walk of the README, for `make up` with an empty data folder. `make walk` runs it.
API=${API:-http://127.0.0.1:3000/api/v1}
AUTH='Authorization: Bearer demo-token-for-testing'
curl() { command curl "$@"; echo; }

# 1. Submit a transfer. 202 means: decided, and durable in the log.
curl -s "$API/transactions" -H "$AUTH" -H 'Idempotency-Key: invoice-42' -d '{
  "transaction": {"source_account_id": "account-123", "destination_account_id": "account-456",
                  "amount": 100.00, "currency": "USD", "description": "Invoice 42"}}'

# 2. Send it again, and wait until its result can be read. Nothing happens twice.
curl -si "$API/transactions" -H "$AUTH" -H 'Idempotency-Key: invoice-42' -H 'Prefer: wait=5' -d '{
  "transaction": {"source_account_id": "account-123", "destination_account_id": "account-456",
                  "amount": "100.00", "currency": "USD", "description": "Invoice 42"}}'

# 3. Ask for more than the account has. The refusal is in the log, too.
curl -s "$API/transactions" -H "$AUTH" -H 'Idempotency-Key: invoice-43' -d '{
  "transaction": {"source_account_id": "account-123", "destination_account_id": "account-456",
                  "amount": "1000000", "currency": "USD"}}'

# 4. Read the balance, no older than position 6, and wait up to 5 seconds for it.
curl -s "$API/accounts/account-123/balance" -H "$AUTH" -H 'Daybook-Min-Position: 6' -H 'Prefer: wait=5'

# 5. Fold the account's events from the log again, and compare the result with what is shown.
curl -s -X POST "$API/accounts/account-123/reconcile" -H "$AUTH"

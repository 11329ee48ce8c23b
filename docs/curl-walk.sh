# The README's walk, against `make up` with an empty data folder. With its output:
#   bash -v docs/curl-walk.sh 2>&1
API=${API:-http://127.0.0.1:3000/api/v1}
AUTH='Authorization: Bearer demo-token-for-testing'

# 1. Submit. 202 means: decided, and durable in the log.
curl -si "$API/transactions" -H "$AUTH" -d '{
  "transaction": {
    "source_account_id": "account-123",
    "destination_account_id": "account-456",
    "amount": 100.00,
    "currency": "USD",
    "description": "Invoice 42"
  },
  "idempotencyKey": "invoice-42"
}'; sleep 1

# 2. Poll the `pollUrl`: 202 PROCESSING until it is in the read models, then 200.
curl -s "$API/transactions/status/invoice-42" -H "$AUTH"

# 3. The same again: nothing happens twice, and the answer is the same.
curl -si "$API/transactions" -H "$AUTH" -H 'Idempotency-Key: invoice-42' -d '{
  "transaction": {
    "source_account_id": "account-123",
    "destination_account_id": "account-456",
    "amount": "100.00",
    "currency": "USD",
    "description": "Invoice 42"
  }
}'

# 4. The same key for another command is refused.
curl -s "$API/transactions" -H "$AUTH" -H 'Idempotency-Key: invoice-42' -d '{
  "transaction": {
    "source_account_id": "account-123",
    "destination_account_id": "account-456",
    "amount": "1.00"
  }
}'

# 5. More than there is: 422 now, FAILED when polled, and the refusal is in the log.
curl -si "$API/transactions" -H "$AUTH" -H 'Idempotency-Key: invoice-43' -d '{
  "transaction": {
    "source_account_id": "account-123",
    "destination_account_id": "account-456",
    "amount": "1000000",
    "currency": "USD"
  }
}'

# 6. The balance, no older than position 6, waiting up to 5 seconds for it.
curl -s "$API/accounts/account-123/balance" -H "$AUTH" -H 'Daybook-Min-Position: 6' -H 'Prefer: wait=5'

# 7. The account's ledger, newest first.
curl -s "$API/accounts/account-123/ledger?limit=5" -H "$AUTH"

# 8. Replay the account's events from the log, and compare.
curl -s -X POST "$API/accounts/account-123/reconcile" -H "$AUTH"

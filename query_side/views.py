"""What the read API answers with. Amounts go out in units (exact JSON numbers) and minor units."""

from typing import Any

import msgspec

from events import money
from events.schema import Schema
from events.vocabulary import Recorded
from runtime.sql import Row


def transaction(row: Row, schema: Schema) -> dict[str, Any]:
    """Return a transaction, refused ones with `code` and `detail`."""
    view = {
        "id": row["transaction_id"],
        "kind": row["kind"],
        "source_account_id": row["source_account_id"],
        "destination_account_id": row["destination_account_id"],
        "amount": None,
        "amount_minor": None,
        "currency": row["currency"],
        "status": row["status"],
        "description": row["description"],
        "metadata": None if row["metadata"] is None else msgspec.json.decode(row["metadata"]),
        "refund_of": row["refund_of"],
        "position": row["position"],
        "created_at": row["recorded_at"],
    }
    if row["amount"] is not None:
        decimals = schema.decimals(row["currency"])
        view["amount"] = money.to_json(row["amount"], decimals)
        view["amount_minor"] = str(row["amount"])
        if row["refunded"]:
            view["refunded"] = money.to_json(row["refunded"], decimals)
            view["refunded_minor"] = str(row["refunded"])
    if row["code"] is not None:
        view |= {"code": row["code"], "detail": row["detail"]}
    return view


def polled(row: Row, schema: Schema) -> dict[str, Any]:
    """Return a finished command as its status: COMPLETED or FAILED, and the result."""
    return {
        "status": row["status"],
        "idempotencyKey": row["idempotency_key"],
        "result": transaction(row, schema),
    }


def account(row: Row, schema: Schema) -> dict[str, Any]:
    """Return an account's policy."""
    limit = row["overdraft_limit"]
    decimals = schema.decimals(row["currency"])
    return {
        "account_id": row["account_id"],
        "class": row["account_class"],
        "currency": row["currency"],
        "normal_side": row["normal_side"],
        "overdraft": "unlimited" if limit is None else money.to_text(limit, decimals),
        "status": row["status"],
        "opened_at": row["opened_at"],
    }


def entry(row: Row, schema: Schema) -> dict[str, Any]:
    """Return one line of an account's ledger."""
    decimals = schema.decimals(row["currency"])
    return {
        "position": row["position"],
        "line": row["line"],
        "transaction_id": row["transaction_id"],
        "side": row["side"],
        "amount": money.to_json(row["amount"], decimals),
        "amount_minor": str(row["amount"]),
        "currency": row["currency"],
        "balance": money.to_json(row["balance"], decimals),
        "balance_minor": str(row["balance"]),
        "recorded_at": row["recorded_at"],
    }


def event(recorded: Recorded) -> dict[str, Any]:
    """Return one event of the log, as it was recorded."""
    return {
        "position": recorded.position,
        "stream_id": recorded.originator_id,
        "version": recorded.version,
        "type": recorded.event.topic,
        "recorded_at": recorded.event.recorded_at,
        "data": recorded.event,
    }


def page(items: list[dict[str, Any]], next_cursor: str | None) -> dict[str, Any]:
    """Return one page of a list; `next` is the cursor of the page after it, if there is one."""
    return {"items": items, "next": next_cursor}

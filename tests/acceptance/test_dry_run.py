"""`?dry_run=true` answers what would be decided, and changes nothing."""

from typing import Any

import pytest

from tests.acceptance.driver import API, Database, Ledger, new_key, outcomes, problem, transfer

BATCH = f"{API}/transactions/batch?dry_run=true"


def _item(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    fields.setdefault("amount", "1.00")
    return {"transaction": transfer(**fields), "idempotencyKey": new_key()}


async def test_every_item_of_a_batch_has_its_place(ledger: Ledger, database: Database) -> None:
    """The results are in the order of the request, also after what could not be read."""
    batch = [
        _item(),
        {"transaction": {"amount": "1.00"}, "idempotencyKey": new_key()},
        _item(source="poor"),
        _item(source="wallet", destination="shop"),
    ]
    answer = await ledger.http.post(BATCH, json=batch)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [
        "ACCEPTED",
        "INVALID",
        "REFUSED",
        "ACCEPTED",
    ]
    assert [result.get("code") for result in results] == [
        None,
        "body_invalid",
        "insufficient_funds",
        None,
    ]
    assert await outcomes(database, ledger.name) == []


async def test_together_each_has_its_result_or_the_first_refusal_is_the_answer(
    ledger: Ledger, database: Database
) -> None:
    """An atomic batch is answered as it would be, item by item."""
    accepted = await ledger.http.post(f"{BATCH}&mode=atomic", json=[_item(), _item()])
    assert [result["status"] for result in accepted.json()["results"]] == ["ACCEPTED"] * 2
    refused = await ledger.http.post(f"{BATCH}&mode=atomic", json=[_item(), _item(source="poor")])
    body = problem(refused, 422, "insufficient_funds")
    assert (body["index"], body["dryRun"]) == (1, True)
    assert await outcomes(database, ledger.name) == []


@pytest.mark.parametrize(
    "batch, statuses", [([], []), ([_item(source="poor")], ["REFUSED"])], ids=["none", "one"]
)
async def test_a_small_batch_is_a_batch(
    ledger: Ledger, batch: list[dict[str, Any]], statuses: list[str]
) -> None:
    """One item is answered in its place, too, and none at all with no result."""
    answer = await ledger.http.post(BATCH, json=batch)
    assert answer.status_code == 200, answer.text
    assert [result["status"] for result in answer.json()["results"]] == statuses


async def test_a_single_command_s_refusal_is_the_answer_itself(ledger: Ledger) -> None:
    """As it would be without `dry_run`, and marked."""
    answer = await ledger.http.post(
        f"{API}/transactions?dry_run=true", json=_item(source="poor", destination="shop")
    )
    assert problem(answer, 422, "insufficient_funds")["dryRun"] is True

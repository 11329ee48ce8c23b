"""The tamper drill: every known corruption is found, named, located and remedied."""

import asyncio
import json
import os
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import pytest

from auditing.differences import Scope
from auditing.discrepancies import Discrepancy, DiscrepancyKind
from auditing.reconcile.reconcile import Report
from daybook.drill import drill
from daybook.drill.corruption import Location
from events.types import transaction_id
from sealing.findings import FindingKind, Verdict
from tests.acceptance.driver import started
from tests.patience import patient_s

DRILL_S_MAX = 180
CORRUPTIONS_MIN = 25
# Receipts are checked without a server. The running projector would apply an event far behind the
# last one; tests/integration/test_verify.py has that attack.
NOT_DRILLED = {
    FindingKind.POSITION_GAP,
    FindingKind.RECEIPT_CONTRADICTED,
    FindingKind.RECEIPT_SIGNATURE_INVALID,
}
EDITED = next(each for each in drill.CORRUPTIONS if each.name == "an entry's amount is changed")
LOCATION = Location(7, "alice", transaction_id("shop", "plain-1"))


def found(position: int = 7, transaction: UUID | None = LOCATION.transaction_id) -> Report:
    """Return the report of a reconciliation that found one entry."""
    entry = Discrepancy(
        kind=DiscrepancyKind.AMOUNT_MISMATCH,
        position=position,
        expected="amount 1",
        actual="amount 2",
        explanation="It differs.",
        ledger="shop",
        account_id="alice",
        transaction_id=transaction,
    )
    now = datetime.now(UTC)
    return Report(
        reconciliation_id=uuid4(),
        scope=Scope(),
        position=9,
        events_read=9,
        entries_compared=9,
        balances_compared=9,
        discrepancy_count=1,
        discrepancies=[entry],
        kinds={entry.kind: 1},
        started_at=now,
        finished_at=now,
    )


def problems(report: Report, kind: DiscrepancyKind = DiscrepancyKind.AMOUNT_MISMATCH) -> list[str]:
    """Return the problems of a corruption in which `kind` must be found."""
    intact = Verdict(
        events=9,
        sealed=9,
        tiles=1,
        checkpoints=1,
        checkpoints_off_the_box=1,
        finding_count=0,
        findings=[],
    )
    corruption = msgspec.structs.replace(EDITED, reconcile=frozenset({kind}))
    result = drill.Result(number=1, case=corruption.name, story=corruption.story)
    drill.judge(corruption, LOCATION, report, intact, result)
    assert result.passed == (not result.problems)
    return result.problems


async def test_every_corruption_is_found_named_located_and_put_right() -> None:
    """The command itself is run, on its own servers, and no corruption is left out."""
    arguments = ("drill", "--transfers", "200", "--json")
    async with started(*arguments, env=dict(os.environ)) as process:
        async with asyncio.timeout(patient_s(DRILL_S_MAX)):
            out, err = await process.communicate()
    assert out, err.decode()
    drilled = json.loads(out)
    missed = {result["case"]: result["problems"] for result in drilled["results"]}
    assert {case: found for case, found in missed.items() if found} == {}
    assert (process.returncode, drilled["passed"]) == (0, True)
    assert [result["case"] for result in drilled["results"]] == [
        corruption.name for corruption in drill.CORRUPTIONS
    ]
    assert len(drilled["results"]) >= CORRUPTIONS_MIN


def test_every_kind_is_drilled() -> None:
    """Every kind of discrepancy, and every finding about a log and its seal."""
    assert set().union(*(each.reconcile for each in drill.CORRUPTIONS)) == set(DiscrepancyKind)
    assert (
        set().union(*(each.verify for each in drill.CORRUPTIONS)) == set(FindingKind) - NOT_DRILLED
    )
    assert len({each.name for each in drill.CORRUPTIONS}) == len(drill.CORRUPTIONS)


def test_a_corruption_found_as_expected_passes() -> None:
    """The kind, the position, the account and the transaction are compared."""
    assert problems(found()) == []


@pytest.mark.parametrize(
    "report, kind, problem",
    [
        pytest.param(
            found(),
            DiscrepancyKind.MISSING_ENTRY,
            "reconcile finds amount_mismatch instead of missing_entry",
            id="kind",
        ),
        pytest.param(
            found(position=8),
            DiscrepancyKind.AMOUNT_MISMATCH,
            "the first position of reconcile is 8 instead of 7",
            id="position",
        ),
        pytest.param(
            found(transaction=None),
            DiscrepancyKind.AMOUNT_MISMATCH,
            f"the transaction {LOCATION.transaction_id} is not named",
            id="transaction",
        ),
    ],
)
def test_a_wrong_finding_fails_the_drill(
    report: Report, kind: DiscrepancyKind, problem: str
) -> None:
    """Another kind, another position, or no transaction named."""
    assert problem in problems(report, kind)
    done = drill.Drill(
        events=9,
        results=[drill.Result(number=1, case="x", story="y", problems=[problem])],
        seconds=1.0,
    )
    assert not done.passed

"""What holds for all decisions: every code has its place, and a refusal is an event."""

import pytest

from command_side.domain.commands import Keyed
from command_side.domain.records import refused
from command_side.domain.rejections import Code, Rejection
from events.types import Kind, TransferRejected
from tests.unit.decide_examples import (
    AB,
    ABOUT,
    cancel,
    capture,
    hold,
    refund,
    schedule,
    transfer,
    void,
)
from tests.unit.examples import NOON
from tests.unit.test_decide_accounts import CHANGE_FAULTS, CLOSING_FAULTS, OPENING_FAULTS
from tests.unit.test_decide_followups import (
    CANCEL_FAULTS,
    CAPTURE_FAULTS,
    REFUND_FAULTS,
    VOID_FAULTS,
)
from tests.unit.test_decide_movements import HOLD_FAULTS, TRANSFER_FAULTS

TESTED = (
    *(TRANSFER_FAULTS, HOLD_FAULTS, (Code.DUE_AT_PASSED,)),
    *(REFUND_FAULTS, CAPTURE_FAULTS, VOID_FAULTS, CANCEL_FAULTS),
    *(OPENING_FAULTS, CHANGE_FAULTS, CLOSING_FAULTS),
)


def test_every_code_is_tested_alone_and_with_those_that_come_after_it() -> None:
    """The lists that the other modules take their cases from are complete."""
    assert {code for faults in TESTED for code in faults} == set(Code)


@pytest.mark.parametrize(
    "command, kind",
    [
        (transfer(), Kind.TRANSFER),
        (hold(), Kind.HOLD),
        (schedule(), Kind.TRANSFER),
        (refund(), Kind.REFUND),
        (capture(), Kind.CAPTURE),
        (void(), Kind.VOID),
        (cancel(), Kind.CANCELLATION),
    ],
)
def test_a_refusal_says_what_was_refused(command: Keyed, kind: Kind) -> None:
    """Retries are answered from it; what a follow-up would have moved it does not say."""
    event = refused(command, Rejection(Code.INSUFFICIENT_FUNDS, "No."), NOON)
    assert isinstance(event, TransferRejected)
    assert (event.kind, event.key, event.fingerprint) == (kind, command.key, command.fingerprint)
    assert (event.code, event.detail, event.recorded_at) == ("insufficient_funds", "No.", NOON)
    movement = kind in (Kind.TRANSFER, Kind.HOLD)
    assert event.postings == (AB if movement else ())
    assert event.about == (None if movement else ABOUT)


def test_a_refusal_keeps_what_was_attached() -> None:
    """Description, reference and metadata, as an accepted command would."""
    command = transfer(description="d", reference="r", metadata={"m": 1}, effective_at=NOON)
    event = refused(command, Rejection(Code.INSUFFICIENT_FUNDS, "No."), NOON)
    assert (event.description, event.reference, event.metadata) == ("d", "r", {"m": 1})
    assert event.effective_at == NOON

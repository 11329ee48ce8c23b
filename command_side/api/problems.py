"""Outcomes that are no success, as problems; and the codes of each kind of operation."""

from typing import Any, assert_never
from urllib.parse import quote

from command_side.domain.rejections import Code, Rejection
from command_side.writer.outcomes import (
    Accepted,
    AllAccepted,
    KeyReused,
    NoneAccepted,
    Outcome,
    PolicySet,
    Refused,
    Rehearsed,
    Unchanged,
)
from events.types import Recorded, TransactionEvent
from runtime.problems import Invalid, Outdated, Problem, Rejected
from web.answers import POSITION
from web.operations import Problems, merged

REPLAYED = "Idempotent-Replayed"
STATUS_PATH = "/api/v1/transactions/status/"


def problem_of(outcome: Outcome) -> Problem | None:
    """Return the problem that a client gets for an outcome, if it is not a success."""
    match outcome:
        case Accepted() | PolicySet() | Unchanged() | AllAccepted() | Rehearsed():
            return None
        case Refused():
            return _rejected(outcome.rejection)
        case KeyReused():
            detail = f"The idempotency key {outcome.key!r} was used for a different command."
            return Rejected("idempotency_key_reused", detail)
        case NoneAccepted():
            problem = problem_of(outcome.reason)
            assert problem is not None, "a part is refused for a reason"
            problem.extensions |= {"index": outcome.index, "idempotencyKey": outcome.key}
            return problem
        case Problem():
            return outcome
        case _:
            assert_never(outcome)


def failure(outcome: Outcome) -> Problem:
    """Return the problem that a client gets for an outcome that must be none of the successes.

    A refusal that is in the log is the same for every retry, and says where its status is.
    """
    if isinstance(outcome, Refused) and outcome.recorded is not None:
        return _logged(outcome, outcome.recorded)
    problem = problem_of(outcome)
    assert problem is not None, outcome
    return problem


def status(problem: Problem) -> str:
    """Return the status of one of many commands that has no effect."""
    match problem:
        case Rejected():
            return "REFUSED"
        case Invalid():
            return "INVALID"
        case _:
            return "UNAVAILABLE"


def poll_url(key: str) -> str:
    """Return the path where the status of the command with this key is."""
    return STATUS_PATH + quote(key, safe="")


def _logged(outcome: Refused, recorded: Recorded) -> Problem:
    assert isinstance(recorded.event, TransactionEvent)
    headers = {POSITION: str(recorded.position)}
    if outcome.replayed:
        headers[REPLAYED] = "true"
    return _rejected(
        outcome.rejection,
        headers=headers,
        idempotencyKey=recorded.event.key,
        transactionId=recorded.originator_id,
        pollUrl=poll_url(recorded.event.key),
    )


def _rejected(rejection: Rejection, **more: Any) -> Problem:  # noqa: ANN401 - as a Problem takes
    kind = Outdated if rejection.code is Code.VERSION_CONFLICT else Rejected
    return kind(rejection.code, rejection.detail, **more)


# The codes of each kind of operation, by status.

_WRITER: Problems = {503: ("too_many_waiting", "waited_too_long", "stopping")}
_KEY: Problems = {
    400: ("idempotency_key_missing", "idempotency_key_invalid", "idempotency_key_ambiguous"),
    422: ("idempotency_key_reused",),
}
_AMOUNT: Problems = {
    400: (
        *("amount_not_a_number", "amount_not_positive", "amount_too_precise", "amount_too_large"),
        "currency_unknown",
    ),
}
_METADATA: Problems = {400: ("metadata_too_large", "metadata_reserved", "control_character")}
_ATTACHED = merged(
    _METADATA, {400: ("description_too_long", "reference_invalid", "metadata_required")}
)
_KEYED = merged(_WRITER, _KEY, _ATTACHED)
_DATED: Problems = {
    400: ("period_invalid",),
    422: (Code.EFFECTIVE_AT_IN_FUTURE, Code.PERIOD_CLOSED),
}
_MOVED: Problems = {422: (Code.CURRENCY_MISMATCH, Code.ACCOUNT_CLOSED, Code.ACCOUNT_FROZEN)}
SUBMIT = merged(
    _KEYED,
    _AMOUNT,
    _DATED,
    _MOVED,
    {
        400: (
            *("account_id_invalid", "same_account", "transaction_ambiguous", "postings_missing"),
            *("too_many_postings", "amount_missing", "split_ambiguous", "split_exceeded"),
            *("split_incomplete", "exchange_same_currency", "exchange_too_small"),
            *("timing_ambiguous", "condition_account_unknown"),
        ),
        409: (Code.VERSION_CONFLICT,),
        422: (
            *(Code.ACCOUNT_NOT_FOUND, Code.EXPIRES_AT_PASSED, Code.DUE_AT_PASSED),
            *(Code.AMOUNT_OVER_LIMIT, Code.INSUFFICIENT_FUNDS),
            *(Code.BALANCE_BELOW_MINIMUM, Code.BALANCE_ABOVE_MAXIMUM),
        ),
    },
)
BATCH = merged(SUBMIT, {400: ("batch_empty",), 413: ("batch_too_large",)})
_FOLLOW_UP = merged(_KEYED, {422: (Code.TRANSACTION_NOT_FOUND,)})
_PARTS = merged(
    _FOLLOW_UP,
    _AMOUNT,
    _DATED,
    _MOVED,
    {400: ("line_missing", "line_invalid", "transaction_ambiguous")},
)
_HOLD: Problems = {
    422: (*(Code.TRANSACTION_NOT_A_HOLD, Code.HOLD_CAPTURED, Code.HOLD_VOIDED, Code.HOLD_EXPIRED),),
}
REFUND = merged(
    _PARTS,
    {
        422: (
            *(Code.TRANSACTION_NOT_REFUNDABLE, Code.AMOUNT_OVER_LIMIT),
            *(Code.REFUND_EXCEEDS_ORIGINAL, Code.INSUFFICIENT_FUNDS),
        ),
    },
)
CAPTURE = merged(_PARTS, _HOLD, {422: (Code.CAPTURE_EXCEEDS_HOLD,)})
VOID = merged(_FOLLOW_UP, _HOLD)
CANCEL = merged(
    _FOLLOW_UP,
    {
        422: (*(Code.TRANSACTION_NOT_SCHEDULED, Code.SCHEDULE_EXECUTED, Code.SCHEDULE_CANCELLED),),
    },
)
_ACCOUNT = merged(_WRITER, _AMOUNT, _METADATA, {400: ("account_id_invalid",)})
OPEN = merged(_ACCOUNT, {422: (Code.ACCOUNT_NOT_FOUND, Code.ACCOUNT_EXISTS)})
CHANGE = merged(
    _ACCOUNT,
    {
        409: (Code.VERSION_CONFLICT,),
        422: (
            *(Code.ACCOUNT_NOT_FOUND, Code.CURRENCY_MISMATCH),
            *(Code.ACCOUNT_CLOSED, Code.ACCOUNT_NOT_EMPTY),
        ),
    },
)
CLOSE = merged(
    _WRITER,
    {400: ("period_invalid",), 422: (Code.CLOSING_IN_FUTURE, Code.CLOSING_BACKWARDS)},
)

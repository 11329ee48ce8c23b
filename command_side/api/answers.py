"""What a client gets for a command: built from its event, so a retry gets the same again. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from command_side.api import problems
from command_side.api.problems import REPLAYED, poll_url, problem_of
from command_side.domain.account import AccountState
from command_side.domain.commands import CloseBooks
from command_side.writer import outcomes
from command_side.writer.outcomes import Outcome, PolicySet, Unchanged
from events import money, transaction_view
from events.answers import Books, Polled, Position, Transaction
from events.money import Minor, Units
from events.schema import Schema
from events.types import AccountType, Metadata, Side, Status, TransactionEvent
from runtime.problems import Problem
from web.answers import Reply

COUNTERS = (
    *("balance", "available"),
    *("debits_posted", "credits_posted", "debits_pending", "credits_pending"),
)


class Accepted(Struct):
    """Decided, and durable in the log. `messageId` is the id of the transaction."""

    status: Literal["ACCEPTED"]
    idempotencyKey: str  # noqa: N815 - the API's own spelling
    messageId: UUID  # noqa: N815
    pollUrl: str  # noqa: N815
    expiresAt: datetime  # noqa: N815


class BatchResult(Struct):
    """The result of an item. `code` and `detail` say why it has no effect.

    UNAVAILABLE: it may have happened or not; the same key finds out.
    """

    index: int
    idempotencyKey: str | UnsetType = UNSET  # noqa: N815
    messageId: UUID | UnsetType = UNSET  # noqa: N815
    status: Literal["ACCEPTED", "REFUSED", "INVALID", "UNAVAILABLE"] = "ACCEPTED"
    code: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    position: Position | UnsetType = UNSET
    replayed: bool | UnsetType = UNSET


class BatchResults(Struct):
    """One result for each item, in the order of the request."""

    results: list[BatchResult]


class _Policy(Struct, kw_only=True):
    account_id: str
    class_: str = msgspec.field(name="class")
    type: AccountType
    currency: str
    normal_side: Side
    overdraft: Annotated[str, Meta(description="`unlimited`, or an amount in units.")]
    status: Status
    metadata: Metadata | None
    version: int


class Policy(_Policy, kw_only=True):
    """The policy of an account after a command."""

    position: Position


class RehearsedAccount(_Policy, kw_only=True):
    """An account as it would be."""

    balance: Units
    balance_minor: Minor
    available: Units
    available_minor: Minor
    debits_posted: Units
    debits_posted_minor: Minor
    credits_posted: Units
    credits_posted_minor: Minor
    debits_pending: Units
    debits_pending_minor: Minor
    credits_pending: Units
    credits_pending_minor: Minor


class RehearsedResult(Struct, kw_only=True):
    """What would become of one command."""

    status: Literal["ACCEPTED", "REFUSED", "INVALID"]
    code: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    replayed: bool | UnsetType = UNSET
    transaction: Transaction | UnsetType = UNSET


class Rehearsed(Struct):
    """The answer to `dry_run=true`: what would be decided now, and the accounts after that.

    Nothing was appended.
    """

    dryRun: bool  # noqa: N815
    results: list[RehearsedResult]
    accounts: list[RehearsedAccount]


def accepted(outcome: outcomes.Accepted, result_ttl_s: int) -> Reply:
    """202: the command is durable, and will be readable at `pollUrl`."""
    recorded, event = outcome.recorded, _event(outcome)
    body = Accepted(
        status="ACCEPTED",
        idempotencyKey=event.key,
        messageId=recorded.originator_id,
        pollUrl=poll_url(event.key),
        expiresAt=event.recorded_at + timedelta(seconds=result_ttl_s),
    )
    return Reply(body, 202, recorded.position, _replayed(outcome))


def completed(outcome: outcomes.Accepted, schema: Schema) -> Reply:
    """200: the command is readable; the body is that of the status route."""
    facts = transaction_view.of_event(outcome.recorded)
    body = Polled("COMPLETED", _event(outcome).key, transaction_view.answer(facts, schema))
    return Reply(body, 200, outcome.position, _replayed(outcome))


def policy(outcome: PolicySet, schema: Schema, status: int) -> Reply:
    """Return an account's policy as it is after the command."""
    body = Policy(**_policy(outcome.account, schema), position=outcome.position)
    return Reply(body, status, outcome.position)


def books(outcome: outcomes.Accepted | Unchanged, command: CloseBooks) -> Reply:
    """Return until when a ledger's books are closed."""
    return Reply(Books(command.closed_before, outcome.position), 200, outcome.position)


def rehearsed(each: Iterable[Outcome], accounts: Sequence[AccountState], schema: Schema) -> Reply:
    """200: what would be decided of each, and the accounts that would change."""
    results = [_decision(outcome, schema) for outcome in each]
    shown = [_rehearsed_account(account, schema) for account in accounts]
    return Reply(Rehearsed(dryRun=True, results=results, accounts=shown))


def _decision(outcome: Outcome, schema: Schema) -> RehearsedResult:
    problem: Problem | None = problem_of(outcome)
    if problem is not None:
        status: Any = problems.status(problem)
        return RehearsedResult(status=status, code=problem.code, detail=problem.detail)
    if not isinstance(outcome, outcomes.Accepted):
        return RehearsedResult(status="ACCEPTED")
    made = RehearsedResult(status="ACCEPTED", replayed=True if outcome.replayed else UNSET)
    if isinstance(outcome.recorded.event, TransactionEvent):
        shown = transaction_view.answer(transaction_view.of_event(outcome.recorded), schema)
        shown.position = None
        made.transaction = shown
    return made


def _rehearsed_account(account: AccountState, schema: Schema) -> RehearsedAccount:
    counters = {name: getattr(account, name) for name in COUNTERS}
    amounts = money.fields(schema.decimals(account.currency), **counters)
    return RehearsedAccount(**_policy(account, schema), **amounts)


def _policy(account: AccountState, schema: Schema) -> dict[str, Any]:
    limit, decimals = account.overdraft_limit, schema.decimals(account.currency)
    return {
        "account_id": account.account_id,
        "class_": account.account_class,
        "type": account.account_type,
        "currency": account.currency,
        "normal_side": account.normal_side,
        "overdraft": "unlimited" if limit is None else money.to_text(limit, decimals),
        "status": account.status,
        "metadata": account.metadata,
        "version": account.version,
    }


def _event(outcome: outcomes.Accepted) -> TransactionEvent:
    assert isinstance(outcome.recorded.event, TransactionEvent)
    return outcome.recorded.event


def _replayed(outcome: outcomes.Accepted) -> dict[str, str]:
    return {REPLAYED: "true"} if outcome.replayed else {}

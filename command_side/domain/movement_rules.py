"""The rules for transfers, holds and scheduled transfers. Pure."""

from collections.abc import Sequence
from datetime import datetime

from command_side.domain import checks
from command_side.domain.account import AccountKey, AccountState
from command_side.domain.account_rules import opening_by_use
from command_side.domain.commands import Hold, Schedule, Settle, Transfer
from command_side.domain.decision import Decision
from command_side.domain.records import copied
from command_side.domain.rejections import Code, Rejection
from command_side.domain.state import ClosedBooks, EarlierTransaction, State, evolve
from events.schema import Schema
from events.types import (
    AccountOpened,
    HoldExpired,
    HoldPlaced,
    Posting,
    Stage,
    TransferPosted,
    TransferRejected,
    TransferScheduled,
)


def transfer(command: Transfer, state: State, schema: Schema, recorded_at: datetime) -> Decision:
    """Post it now."""
    found = _accounts(command.ledger, command.postings, state, schema, recorded_at)
    if isinstance(found, Rejection):
        return found
    openings, accounts = found
    wrong_date = misdated(command.effective_at, state.books.get(command.ledger), recorded_at)
    rejection = checks.refusal_to_post(
        command.postings, command.conditions, accounts, schema, wrong_date
    )
    if rejection is not None:
        return rejection
    return [*openings, TransferPosted(**command.event_fields(command.postings, recorded_at))]


def hold(command: Hold, state: State, schema: Schema, recorded_at: datetime) -> Decision:
    """Reserve it now."""
    found = _accounts(command.ledger, command.postings, state, schema, recorded_at)
    if isinstance(found, Rejection):
        return found
    openings, accounts = found
    made = checks.balance_changes(command.postings, accounts)
    rejection = (
        checks.stands(command.postings, command.conditions, accounts, made)
        or _passed(Code.EXPIRES_AT_PASSED, command.expires_at, recorded_at)
        or checks.over_limit(command.postings, schema)
        or checks.lacks_funds(accounts, made, netted=False)
        or checks.out_of_bounds(command.conditions, accounts, {})
    )
    if rejection is not None:
        return rejection
    placed = HoldPlaced(
        **command.event_fields(command.postings, recorded_at), expires_at=command.expires_at
    )
    return [*openings, placed]


def schedule(command: Schedule, recorded_at: datetime) -> Decision:
    """Keep it until it is due: accounts and funds are checked only then."""
    rejection = _passed(Code.DUE_AT_PASSED, command.due_at, recorded_at)
    if rejection is not None:
        return rejection
    return [
        TransferScheduled(
            **command.event_fields(command.postings, recorded_at), due_at=command.due_at
        )
    ]


def settle(command: Settle, state: State, schema: Schema, recorded_at: datetime) -> Decision:
    """Let a hold expire, or post a scheduled transfer, if it is due and has not ended yet."""
    earlier = state.transactions.get(command.about)
    if earlier is None or earlier.due_at is None or earlier.due_at > recorded_at:
        return []
    event = earlier.event
    if earlier.stage is Stage.PENDING:
        return [
            HoldExpired(
                ledger=event.ledger,
                key=event.key,
                postings=remaining(earlier),
                recorded_at=recorded_at,
            )
        ]
    found = _accounts(event.ledger, event.postings, state, schema, recorded_at)
    rejection = (
        found
        if isinstance(found, Rejection)
        else checks.refusal_to_post(event.postings, (), found[1], schema)
    )
    if rejection is not None:
        return [
            TransferRejected(
                **copied(event, recorded_at), code=rejection.code, detail=rejection.detail
            )
        ]
    assert not isinstance(found, Rejection)
    return [*found[0], TransferPosted(**copied(event, recorded_at))]


def remaining(earlier: EarlierTransaction) -> tuple[Posting, ...]:
    """Return the postings that release what is left of a hold."""
    left = [earlier.left(line) for line in range(len(earlier.event.postings))]
    return tuple(
        Posting(posting.debit, posting.credit, left[line], posting.currency, line)
        for line, posting in enumerate(earlier.event.postings)
        if left[line]
    )


def misdated(
    effective_at: datetime | None, books: ClosedBooks | None, recorded_at: datetime
) -> Rejection | None:
    """Return a refusal of a date that is in the future, or in a closed period."""
    if effective_at is None:
        return None
    if effective_at > recorded_at:
        detail = f"{effective_at.isoformat()} is still to come; schedule it with `due_at` instead."
        return Rejection(Code.EFFECTIVE_AT_IN_FUTURE, detail)
    if books is not None and effective_at < books.closed_before:
        detail = f"The books are closed before {books.closed_before.isoformat()}."
        return Rejection(Code.PERIOD_CLOSED, detail)
    return None


def _passed(code: Code, at: datetime | None, recorded_at: datetime) -> Rejection | None:
    if at is None or at > recorded_at:
        return None
    return Rejection(code, f"{at.isoformat()} is not in the future any more.")


def _accounts(
    ledger: str, postings: Sequence[Posting], state: State, schema: Schema, recorded_at: datetime
) -> tuple[list[AccountOpened], dict[str, AccountState]] | Rejection:
    """Return the openings of accounts that this first use opens, and all accounts by id."""
    openings: list[AccountOpened] = []
    accounts: dict[str, AccountState] = {}
    for posting in postings:
        for account_id in (posting.debit, posting.credit):
            if account_id in accounts:
                continue
            known = state.accounts.get((ledger, account_id))
            if known is None:
                opening = opening_by_use(ledger, account_id, posting.currency, schema, recorded_at)
                if isinstance(opening, Rejection):
                    return opening
                openings.append(opening)
                fresh = dict[AccountKey, AccountState]()
                evolve(fresh, opening)
                known = fresh[ledger, account_id]
            accounts[account_id] = known
    return openings, accounts

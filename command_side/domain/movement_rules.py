"""Transfers, holds and scheduled transfers: postings that a client asks for. Pure."""

from collections.abc import Sequence
from datetime import datetime

from command_side.domain import checks
from command_side.domain.account import Account, AccountKey, evolve
from command_side.domain.account_rules import opening_by_use
from command_side.domain.commands import Hold, Schedule, Settle, Transfer
from command_side.domain.decision import Decision
from command_side.domain.records import copied, fields
from command_side.domain.rejections import Code, Rejection
from command_side.domain.state import Books, Earlier, State
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
    made = checks.changes(command.postings, accounts)
    rejection = (
        checks.stands(command.postings, command.conditions, accounts, made)
        or misdated(command.effective_at, state.books.get(command.ledger), recorded_at)
        or checks.over_limit(command.postings, schema)
        or checks.lacks_funds(accounts, made)
        or checks.out_of_bounds(command.conditions, accounts, made)
    )
    if rejection is not None:
        return rejection
    return [*openings, TransferPosted(**fields(command, command.postings, recorded_at))]


def hold(command: Hold, state: State, schema: Schema, recorded_at: datetime) -> Decision:
    """Reserve it now: what comes in is not there yet, so it pays for nothing."""
    found = _accounts(command.ledger, command.postings, state, schema, recorded_at)
    if isinstance(found, Rejection):
        return found
    openings, accounts = found
    made = checks.changes(command.postings, accounts)
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
        **fields(command, command.postings, recorded_at), expires_at=command.expires_at
    )
    return [*openings, placed]


def schedule(command: Schedule, recorded_at: datetime) -> Decision:
    """Keep it for later: only then is there anything to decide."""
    rejection = _passed(Code.DUE_AT_PASSED, command.due_at, recorded_at)
    if rejection is not None:
        return rejection
    return [
        TransferScheduled(**fields(command, command.postings, recorded_at), due_at=command.due_at)
    ]


def settle(command: Settle, state: State, schema: Schema, recorded_at: datetime) -> Decision:
    """End what has come to its time; nothing, if it has not, or something else was faster."""
    earlier = state.earlier.get(command.about)
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
        found if isinstance(found, Rejection) else _not_now(event.postings, found[1], schema)
    )
    if rejection is not None:
        return [
            TransferRejected(
                **copied(event, recorded_at), code=rejection.code, detail=rejection.detail
            )
        ]
    assert not isinstance(found, Rejection)
    return [*found[0], TransferPosted(**copied(event, recorded_at))]


def remaining(earlier: Earlier) -> tuple[Posting, ...]:
    """Return what is left of a hold's postings, as releases of their lines."""
    left = [earlier.left(line) for line in range(len(earlier.event.postings))]
    return tuple(
        Posting(posting.debit, posting.credit, left[line], posting.currency, line)
        for line, posting in enumerate(earlier.event.postings)
        if left[line]
    )


def misdated(
    effective_at: datetime | None, books: Books | None, recorded_at: datetime
) -> Rejection | None:
    """Return a refusal of a date that is still to come, or in a closed period."""
    if effective_at is None:
        return None
    if effective_at > recorded_at:
        detail = f"{effective_at.isoformat()} is still to come; schedule it with `due_at` instead."
        return Rejection(Code.EFFECTIVE_AT_IN_FUTURE, detail)
    if books is not None and effective_at < books.closed_before:
        detail = f"The books are closed before {books.closed_before.isoformat()}."
        return Rejection(Code.PERIOD_CLOSED, detail)
    return None


def _not_now(
    postings: Sequence[Posting], accounts: dict[str, Account], schema: Schema
) -> Rejection | None:
    made = checks.changes(postings, accounts)
    return (
        checks.stands(postings, (), accounts, made)
        or checks.over_limit(postings, schema)
        or checks.lacks_funds(accounts, made)
    )


def _passed(code: Code, at: datetime | None, recorded_at: datetime) -> Rejection | None:
    if at is None or at > recorded_at:
        return None
    return Rejection(code, f"{at.isoformat()} is not in the future any more.")


def _accounts(
    ledger: str, postings: Sequence[Posting], state: State, schema: Schema, recorded_at: datetime
) -> tuple[list[AccountOpened], dict[str, Account]] | Rejection:
    """Return the accounts of `postings` by id, and the openings that use alone brings about."""
    openings: list[AccountOpened] = []
    accounts: dict[str, Account] = {}
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
                fresh = dict[AccountKey, Account]()
                evolve(fresh, opening)
                known = fresh[ledger, account_id]
            accounts[account_id] = known
    return openings, accounts

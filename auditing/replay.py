"""The auditor: folds the log into what every view of it must show. Pure.

It shares no code with what it audits (the command side's accounts, the projections' folds), on
purpose: a mistake would have to be made twice, in two ways, to go unnoticed. It goes on where an
event is missing: whoever reads it has noticed the gap, and wants to know about the rest, too.

    event                                        its lines    counters of each line's account
    transfer.posted                              posted       posted +
    transfer.posted, a capture                   posted       posted +, pending -
    hold.placed                                  held         pending +
    hold.voided, hold.expired                    released     pending -
    transfer.rejected, .scheduled, .cancelled    none: the accounts are only mentioned

It remembers a tally per account, and a standing per transaction that changed or may still change:
not the plain transfers, which are most of a log.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, assert_never
from uuid import UUID

import msgspec

from auditing.expected_rows import Closing, Line, Mention, Moment, Outcome, Standing, Tally
from events.codec import written
from events.types import (
    FIRST_VERSION,
    AccountChanged,
    AccountOpened,
    BooksClosed,
    HoldExpired,
    HoldPlaced,
    HoldVoided,
    Kind,
    Posting,
    Recorded,
    Stage,
    TransactionEvent,
    TransferCancelled,
    TransferPosted,
    TransferRejected,
    TransferScheduled,
)

AccountKey = tuple[str, str]
_ENCODER = msgspec.json.Encoder(order="deterministic")


class Movement(NamedTuple):
    """What a posting does to the counters of its two accounts: add (1), nothing, take off (-1)."""

    kind: str
    posted: int
    pending: int


_POSTED = Movement("posted", 1, 0)
_CAPTURED = Movement("posted", 1, -1)
_HELD = Movement("held", 0, 1)
_RELEASED = Movement("released", 0, -1)
_CAPTURE = Kind.CAPTURE  # A member of an enum is looked up slowly, and this one for every transfer.


class Books:
    """Everything the log says, up to the last event taken; or what it says of one account."""

    def __init__(self, only: AccountKey | None = None) -> None:
        self.accounts: dict[AccountKey, Tally] = {}
        self.standings: dict[UUID, Standing] = {}
        self.closings: dict[str, Closing] = {}
        self._only = only

    def take(self, recorded: Recorded) -> tuple[list[Line], Outcome | None]:
        """Book one event; return the entries and the transaction that it must have made."""
        event = recorded.event
        lines: list[Line] = []
        code = detail = due_at = None
        match event:
            case TransferPosted():
                lines = self._post(recorded, event)
            case TransferRejected():
                code, detail = event.code, event.detail
                if recorded.version > FIRST_VERSION:
                    self._end(recorded, recorded.originator_id, Stage.FAILED, code, detail)
            case HoldPlaced():
                due_at = event.expires_at
                self._begin(recorded, event, Stage.PENDING, due_at)
                lines = self._move(recorded, event.postings, _HELD)
            case HoldVoided():
                self._end(recorded, event.about, Stage.VOIDED)
                lines = self._move(recorded, event.postings, _RELEASED)
            case HoldExpired():
                self._end(recorded, recorded.originator_id, Stage.EXPIRED)
                return self._move(recorded, event.postings, _RELEASED), None
            case TransferScheduled():
                due_at = event.due_at
                self._begin(recorded, event, Stage.SCHEDULED, due_at)
            case TransferCancelled():
                self._end(recorded, event.about, Stage.CANCELLED)
            case AccountOpened() | AccountChanged():
                self._set_policy(recorded, event)
                return [], None
            case BooksClosed():
                self.closings[event.ledger] = Closing(
                    event.closed_before, recorded.version, recorded.position
                )
                return [], None
            case _:
                assert_never(event)
        if recorded.version > FIRST_VERSION:
            return lines, None
        return lines, _outcome(recorded, event, code, detail, due_at)

    def _set_policy(self, recorded: Recorded, event: AccountOpened | AccountChanged) -> None:
        key = (event.ledger, event.account_id)
        if self._only is not None and self._only != key:
            return
        if isinstance(event, AccountOpened):
            tally = self.accounts[key] = Tally(
                event.currency,
                event.account_class,
                event.account_type,
                event.normal_side,
                opened_at=event.recorded_at,
                last_position=recorded.position,
                last_at=event.recorded_at,
            )
        else:
            tally = self.accounts.setdefault(key, Tally(""))
            tally.status = event.status
        limit = event.overdraft_limit
        tally.overdraft_limit = None if limit is None else int(limit)
        tally.metadata = _json(event.metadata)
        tally.version, tally.policy_position = recorded.version, recorded.position

    def _post(self, recorded: Recorded, event: TransferPosted) -> list[Line]:
        if recorded.version > FIRST_VERSION:
            self._end(recorded, recorded.originator_id, Stage.COMPLETED)
        elif len(event.postings) > 1:
            self._begin(recorded, event, Stage.COMPLETED)
        if event.about is not None:
            self._use(recorded, event.about, event)
        movement = _CAPTURED if event.kind is _CAPTURE else _POSTED
        return self._move(recorded, event.postings, movement, event.effective_at)

    def _move(
        self,
        recorded: Recorded,
        postings: Sequence[Posting],
        movement: Movement,
        effective_at: datetime | None = None,
    ) -> list[Line]:
        ledger, at, only = recorded.event.ledger, recorded.event.recorded_at, self._only
        position, transaction_id = recorded.position, recorded.originator_id
        kind, posts, pends = movement
        accounts = self.accounts
        lines: list[Line] = []
        number = 0
        for posting in postings:
            amount, currency = posting.amount_minor, posting.currency
            for side, account_id in (("debit", posting.debit), ("credit", posting.credit)):
                key = (ledger, account_id)
                if only is None or only == key:
                    tally = accounts.get(key)
                    if tally is None:
                        tally = accounts[key] = Tally(currency)
                    if side == "debit":
                        tally.debits_posted += posts * amount
                        tally.debits_pending += pends * amount
                    else:
                        tally.credits_posted += posts * amount
                        tally.credits_pending += pends * amount
                    tally.last_position, tally.last_at = position, at
                    lines.append(
                        Line(
                            ledger,
                            account_id,
                            position,
                            number,
                            transaction_id,
                            kind,
                            side,
                            amount,
                            currency,
                            tally.debits_posted,
                            tally.credits_posted,
                            tally.debits_pending,
                            tally.credits_pending,
                            at,
                            effective_at,
                        )
                    )
                number += 1
        return lines

    def _begin(
        self,
        recorded: Recorded,
        event: TransactionEvent,
        stage: Stage,
        due_at: datetime | None = None,
    ) -> None:
        """Remember a transaction that may change in a way that its later events don't tell."""
        self.standings[recorded.originator_id] = Standing(
            event.ledger, stage, [0] * len(event.postings), recorded.position, due_at=due_at
        )

    def _use(self, recorded: Recorded, about: UUID, event: TransferPosted) -> None:
        """Count what is refunded of a completed transaction, or captured of a hold."""
        was = Stage.PENDING if event.kind is _CAPTURE else Stage.COMPLETED
        standing = self.standings.setdefault(about, Standing(event.ledger, was, [0]))
        for posting in event.postings:
            missing = posting.line + 1 - len(standing.used)
            standing.used += [0] * missing  # None, unless the first event is missing.
            standing.used[posting.line] += posting.amount_minor
        standing.position, standing.changed_at = recorded.position, event.recorded_at
        if event.completes:
            standing.stage, standing.due_at = Stage.CAPTURED, None

    def _end(
        self,
        recorded: Recorded,
        transaction_id: UUID | None,
        stage: Stage,
        code: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Say how a transaction ended; of one that is not named, there is nothing to say."""
        if transaction_id is None:
            return
        ledger = recorded.event.ledger
        standing = self.standings.setdefault(transaction_id, Standing(ledger, stage, [0]))
        standing.stage, standing.code, standing.detail = stage, code, detail
        standing.due_at = None
        standing.position, standing.changed_at = recorded.position, recorded.event.recorded_at


def mentions(recorded: Recorded) -> list[Mention]:
    """Return the accounts of an event that made no entry."""
    event = recorded.event
    if not isinstance(event, TransferRejected | TransferScheduled | TransferCancelled):
        return []
    named = {account for posting in event.postings for account in (posting.debit, posting.credit)}
    return [Mention(event.ledger, account_id, recorded.position) for account_id in sorted(named)]


def moments(events: Sequence[Recorded]) -> list[Moment]:
    """Return the recorded times of consecutive events, each with its last position."""
    last = {recorded.event.recorded_at: recorded.position for recorded in events}
    return [Moment(recorded_at, position) for recorded_at, position in last.items()]


def _outcome(
    recorded: Recorded,
    event: TransactionEvent,
    code: str | None,
    detail: str | None,
    due_at: datetime | None,
) -> Outcome:
    postings = event.postings
    source = destination = amount = currency = shown = None
    if postings:
        first = postings[0]
        source, destination, currency = first.debit, first.credit, first.currency
        amount = first.amount_minor
        if len(postings) > 1:
            source = source if {posting.debit for posting in postings} == {source} else None
            destination = (
                destination if {posting.credit for posting in postings} == {destination} else None
            )
            amount = sum(
                posting.amount_minor for posting in postings if posting.currency == currency
            )
        if first.line or len(postings) > 1:
            shown = _json(written(postings))
    return Outcome(
        recorded.originator_id,
        event.ledger,
        recorded.position,
        event.key,
        event.kind,
        event.stage,
        code,
        detail,
        source,
        destination,
        amount,
        currency,
        shown,
        event.description,
        event.reference,
        None if event.metadata is None else _json(event.metadata),
        None if event.rate is None else _json(event.rate),
        event.about,
        due_at,
        event.effective_at,
        event.recorded_at,
    )


def _json(value: object) -> str | None:
    """Return `value` as the views keep it."""
    return None if value is None else _ENCODER.encode(value).decode()

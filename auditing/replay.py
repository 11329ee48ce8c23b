"""The auditor's own replay of the log: what every view of the log must show. Pure.

It shares no code with what it audits (the accounts of the command side, the folds of the
projections). A mistake goes unnoticed only if it is made twice, in two different ways. The replay
continues after a missing event, because its caller reports the gap and compares the rest, too.

    event                                        entries       counters of each entry's account
    transfer.posted                              posted        posted +
    transfer.posted, a capture                   posted        posted +, pending -
    hold.placed                                  held          pending +
    hold.voided, hold.expired                    released      pending -
    transfer.rejected, .scheduled, .cancelled    none          unchanged: only references

Memory holds every account, and the state of each transaction that changed or may still change.
Plain transfers, which are most of a log, are not among these.

Entries and transactions are made with positional arguments, in the order of their tables' columns:
keywords make a whole reconciliation take a sixth longer.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, assert_never
from uuid import UUID

import msgspec

from auditing.expected_rows import (
    ExpectedAccount,
    ExpectedClosing,
    ExpectedEntry,
    ExpectedReference,
    ExpectedTime,
    ExpectedTransaction,
    ExpectedTransactionState,
)
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
    """How a posting changes the counters of its two accounts: add (1), keep (0), subtract (-1)."""

    kind: str
    posted: int
    pending: int


_POSTED = Movement("posted", 1, 0)
_CAPTURED = Movement("posted", 1, -1)
_HELD = Movement("held", 0, 1)
_RELEASED = Movement("released", 0, -1)
# Every transfer is compared with this; looking up a member of an enum is slow.
_CAPTURE = Kind.CAPTURE


class ReplayedState:
    """What the log says up to the last event folded, of all accounts or of `only` one."""

    def __init__(self, only: AccountKey | None = None) -> None:
        self.accounts: dict[AccountKey, ExpectedAccount] = {}
        self.transaction_states: dict[UUID, ExpectedTransactionState] = {}
        self.closings: dict[str, ExpectedClosing] = {}
        self._only = only

    def fold(self, recorded: Recorded) -> tuple[list[ExpectedEntry], ExpectedTransaction | None]:
        """Fold one event; return the entries and the transaction that it must have made."""
        event = recorded.event
        entries: list[ExpectedEntry] = []
        code = detail = due_at = None
        match event:
            case TransferPosted():
                entries = self._post(recorded, event)
            case TransferRejected():
                code, detail = event.code, event.detail
                if recorded.version > FIRST_VERSION:
                    self._end(recorded, recorded.originator_id, Stage.FAILED, code, detail)
            case HoldPlaced():
                due_at = event.expires_at
                self._begin(recorded, event, Stage.PENDING, due_at)
                entries = self._move(recorded, event.postings, _HELD)
            case HoldVoided():
                self._end(recorded, event.about, Stage.VOIDED)
                entries = self._move(recorded, event.postings, _RELEASED)
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
                self.closings[event.ledger] = ExpectedClosing(
                    closed_before=event.closed_before,
                    version=recorded.version,
                    position=recorded.position,
                )
                return [], None
            case _:
                assert_never(event)
        if recorded.version > FIRST_VERSION:
            return entries, None
        return entries, _transaction(recorded, event, code, detail, due_at)

    def _set_policy(self, recorded: Recorded, event: AccountOpened | AccountChanged) -> None:
        key = (event.ledger, event.account_id)
        if self._only is not None and self._only != key:
            return
        if isinstance(event, AccountOpened):
            account = self.accounts[key] = ExpectedAccount(
                currency=event.currency,
                account_class=event.account_class,
                account_type=event.account_type,
                normal_side=event.normal_side,
                opened_at=event.recorded_at,
                last_position=recorded.position,
                last_at=event.recorded_at,
            )
        else:
            account = self.accounts.setdefault(key, ExpectedAccount(""))
            account.status = event.status
        limit = event.overdraft_limit
        account.overdraft_limit = None if limit is None else int(limit)
        account.metadata = _json(event.metadata)
        account.version, account.policy_position = recorded.version, recorded.position

    def _post(self, recorded: Recorded, event: TransferPosted) -> list[ExpectedEntry]:
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
    ) -> list[ExpectedEntry]:
        ledger, at, only = recorded.event.ledger, recorded.event.recorded_at, self._only
        position, transaction_id = recorded.position, recorded.originator_id
        kind, posts, pends = movement
        accounts = self.accounts
        entries: list[ExpectedEntry] = []
        number = 0
        for posting in postings:
            amount, currency = posting.amount_minor, posting.currency
            for side, account_id in (("debit", posting.debit), ("credit", posting.credit)):
                key = (ledger, account_id)
                if only is None or only == key:
                    account = accounts.get(key)
                    if account is None:
                        account = accounts[key] = ExpectedAccount(currency)
                    if side == "debit":
                        account.debits_posted += posts * amount
                        account.debits_pending += pends * amount
                    else:
                        account.credits_posted += posts * amount
                        account.credits_pending += pends * amount
                    account.last_position, account.last_at = position, at
                    entries.append(
                        ExpectedEntry(
                            ledger,
                            account_id,
                            position,
                            number,
                            transaction_id,
                            kind,
                            side,
                            amount,
                            currency,
                            account.debits_posted,
                            account.credits_posted,
                            account.debits_pending,
                            account.credits_pending,
                            at,
                            effective_at,
                        )
                    )
                number += 1
        return entries

    def _begin(
        self,
        recorded: Recorded,
        event: TransactionEvent,
        stage: Stage,
        due_at: datetime | None = None,
    ) -> None:
        """Remember a transaction whose later events do not repeat what its first event says."""
        self.transaction_states[recorded.originator_id] = ExpectedTransactionState(
            event.ledger, stage, [0] * len(event.postings), recorded.position, due_at=due_at
        )

    def _use(self, recorded: Recorded, about: UUID, event: TransferPosted) -> None:
        """Add what an event refunds of a completed transaction, or captures of a hold."""
        was = Stage.PENDING if event.kind is _CAPTURE else Stage.COMPLETED
        state = self.transaction_states.setdefault(
            about, ExpectedTransactionState(event.ledger, was, [0])
        )
        for posting in event.postings:
            missing = posting.line + 1 - len(state.used)
            state.used += [0] * missing  # Negative or 0, unless the first event is missing.
            state.used[posting.line] += posting.amount_minor
        state.position, state.changed_at = recorded.position, event.recorded_at
        if event.completes:
            state.stage, state.due_at = Stage.CAPTURED, None

    def _end(
        self,
        recorded: Recorded,
        transaction_id: UUID | None,
        stage: Stage,
        code: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Note how a transaction ended; None names no transaction."""
        if transaction_id is None:
            return
        ledger = recorded.event.ledger
        state = self.transaction_states.setdefault(
            transaction_id, ExpectedTransactionState(ledger, stage, [0])
        )
        state.stage, state.code, state.detail = stage, code, detail
        state.due_at = None
        state.position, state.changed_at = recorded.position, recorded.event.recorded_at


def account_references(recorded: Recorded) -> list[ExpectedReference]:
    """Return the accounts that an event names without making an entry."""
    event = recorded.event
    if not isinstance(event, TransferRejected | TransferScheduled | TransferCancelled):
        return []
    named = {account for posting in event.postings for account in (posting.debit, posting.credit)}
    return [
        ExpectedReference(event.ledger, account_id, recorded.position)
        for account_id in sorted(named)
    ]


def recorded_times(events: Sequence[Recorded]) -> list[ExpectedTime]:
    """Return the recorded times of consecutive events, each with its last position."""
    last = {recorded.event.recorded_at: recorded.position for recorded in events}
    return [ExpectedTime(recorded_at, position) for recorded_at, position in last.items()]


def _transaction(
    recorded: Recorded,
    event: TransactionEvent,
    code: str | None,
    detail: str | None,
    due_at: datetime | None,
) -> ExpectedTransaction:
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
    return ExpectedTransaction(
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
    """Return `value` as the JSON text that the views store."""
    return None if value is None else _ENCODER.encode(value).decode()

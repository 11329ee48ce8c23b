"""What the lists should show, the simple way: every event of the log, one after the other.

Knows no cursor, no index and no SQL, and shares no fold with the program.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from events.types import (
    AccountChanged,
    AccountOpened,
    BooksClosed,
    HoldExpired,
    HoldPlaced,
    HoldVoided,
    Kind,
    Metadata,
    Posting,
    Recorded,
    Side,
    Stage,
    TransactionEvent,
    TransferCancelled,
    TransferPosted,
    TransferRejected,
)
from tests.integration.fixtures import SCHEMA

Asked = Mapping[str, str]


class Item(msgspec.Struct):
    """A row of any list; fields that a list does not have stay empty."""

    key: tuple[int, ...] | str
    accounts: set[str]
    currency: str | None = None
    amounts: dict[str, int] = msgspec.field(default_factory=dict)
    kind: str = ""
    status: str = ""
    side: str = ""
    type: str = ""
    account_class: str = ""
    texts: list[str | None] = msgspec.field(default_factory=list)
    reference: str | None = None
    metadata: Metadata | None = None
    about: UUID | None = None
    transaction: UUID | None = None
    recorded_at: datetime | None = None
    effective_at: datetime | None = None
    balance: int = 0
    available: int = 0


class Books:
    """One ledger's lists, in ascending order."""

    def __init__(self, events: Sequence[Recorded], ledger: str) -> None:
        self.transactions: dict[UUID, Item] = {}
        self.entries: list[Item] = []
        self.accounts: dict[str, Item] = {}
        self.audited: list[Item] = []
        self._normal: dict[str, Side] = {}
        for recorded in events:
            if recorded.event.ledger == ledger:
                self._take(recorded)

    def items(self, name: str) -> list[Item]:
        """Return all rows of a list."""
        match name:
            case "transactions":
                return sorted(self.transactions.values(), key=lambda item: item.key)
            case "accounts":
                return [self.accounts[account_id] for account_id in sorted(self.accounts)]
            case "audit-trail":
                return self.audited
            case _:
                return self.entries

    def _take(self, recorded: Recorded) -> None:
        event = recorded.event
        match event:
            case AccountOpened():
                self._normal[event.account_id] = event.normal_side
                self.accounts[event.account_id] = Item(
                    event.account_id,
                    {event.account_id},
                    currency=event.currency,
                    type=event.account_type,
                    account_class=event.account_class,
                    recorded_at=event.recorded_at,
                )
                self._policy(event.account_id, "open", event.metadata)
            case AccountChanged():
                self._policy(event.account_id, event.status, event.metadata)
            case TransactionEvent() | HoldExpired():
                if isinstance(event, TransactionEvent) and recorded.version == 1:
                    self._begin(recorded, event)
                self._settle(recorded)
                self._enter(recorded)
            case BooksClosed():
                return
        named = (
            {event.account_id}
            if isinstance(event, AccountOpened | AccountChanged)
            else _accounts(event.postings)
        )
        self.audited.append(Item((recorded.position,), named))

    def _policy(self, account_id: str, status: str, metadata: Metadata | None) -> None:
        account = self.accounts[account_id]
        account.status, account.metadata = status, metadata
        account.texts = [account_id, *map(_text, (metadata or {}).values())]

    def _begin(self, recorded: Recorded, event: TransactionEvent) -> None:
        amounts: dict[str, int] = {}
        for posting in event.postings:
            amounts[posting.currency] = amounts.get(posting.currency, 0) + posting.amount_minor
        self.transactions[recorded.originator_id] = Item(
            (recorded.position,),
            _accounts(event.postings),
            amounts=amounts,
            kind=event.kind,
            status=event.stage,
            texts=[event.description, event.reference, event.key],
            reference=event.reference,
            metadata=event.metadata,
            about=event.about,
            recorded_at=event.recorded_at,
            effective_at=event.effective_at or event.recorded_at,
        )

    def _settle(self, recorded: Recorded) -> None:
        event = recorded.event
        match event:
            case TransferPosted() | TransferRejected() if recorded.version > 1:
                self.transactions[recorded.originator_id].status = event.stage
            case HoldExpired():
                self.transactions[recorded.originator_id].status = Stage.EXPIRED
            case TransferPosted(completes=True) | HoldVoided() | TransferCancelled():
                assert event.about is not None
                self.transactions[event.about].status = {
                    Kind.CAPTURE: Stage.CAPTURED,
                    Kind.VOID: Stage.VOIDED,
                    Kind.CANCELLATION: Stage.CANCELLED,
                }[event.kind]
            case _:
                pass

    def _enter(self, recorded: Recorded) -> None:
        event = recorded.event
        match event:
            case TransferPosted():
                kind, effective_at = "posted", event.effective_at
            case HoldPlaced():
                kind, effective_at = "held", None
            case HoldVoided() | HoldExpired():
                kind, effective_at = "released", None
            case _:
                return
        for number, posting in enumerate(event.postings):
            for side, account_id in (("debit", posting.debit), ("credit", posting.credit)):
                account = self.accounts[account_id]
                amount = posting.amount_minor
                adds = side == self._normal[account_id]
                if kind == "posted":
                    account.balance += amount if adds else -amount
                if not adds:
                    # What is held can't be taken twice; what was held is taken by its capture.
                    captured = isinstance(event, TransferPosted) and event.kind is Kind.CAPTURE
                    freed = amount if kind == "released" else -amount
                    account.available += 0 if captured else freed
                elif kind == "posted":
                    account.available += amount
                self.entries.append(
                    Item(
                        (recorded.position, 2 * number + (side == "credit")),
                        {account_id},
                        currency=posting.currency,
                        amounts={posting.currency: posting.amount_minor},
                        kind=kind,
                        side=side,
                        transaction=recorded.originator_id,
                        recorded_at=event.recorded_at,
                        effective_at=effective_at or event.recorded_at,
                        balance=account.balance,
                        available=account.available,
                    )
                )


def shown(items: Sequence[Item], name: str, asked: Asked, account: str | None) -> list[Item]:
    """Return the `items` that match the parameters, ascending."""
    tests = [_test(name, parameter, text, asked) for parameter, text in asked.items()]
    if name in ("entries", "ledger") and "kind" not in asked:
        tests.append(lambda item: item.kind == "posted")
    if account is not None:
        tests.append(lambda item: account in item.accounts)
    return [item for item in items if all(test(item) for test in tests)]


def _test(name: str, parameter: str, text: str, asked: Asked) -> Callable[[Item], bool]:
    if parameter.startswith("metadata."):
        key = parameter.removeprefix("metadata.")
        return lambda item: key in (item.metadata or {}) and text == _text(item.metadata[key])  # type: ignore[index]
    what, _, end = parameter.rpartition("_")
    if end in ("from", "to"):
        moment = _moment(text, end)
        field = "effective_at" if what == "effective" else "recorded_at"
        if end == "from":
            return lambda item: getattr(item, field) >= moment
        return lambda item: getattr(item, field) < moment
    currency = asked.get("currency", "")
    if end in ("min", "max"):
        minor = Decimal(text).scaleb(SCHEMA.decimals(currency))
        return lambda item: _within(_figure(name, item, currency), minor, end)
    tests: dict[str, Callable[[Item], bool]] = {
        "account": lambda item: text in item.accounts,
        "status": lambda item: item.status == text,
        "kind": lambda item: text in (item.kind, "all"),
        "side": lambda item: item.side == text,
        "type": lambda item: item.type == text,
        "class": lambda item: item.account_class == text,
        "currency": lambda item: text in item.amounts or item.currency == text,
        "reference": lambda item: item.reference == text,
        "about": lambda item: str(item.about) == text,
        "transaction_id": lambda item: str(item.transaction) == text,
        "prefix": lambda item: str(item.key).startswith(text),
        "text": lambda item: any(text.lower() in (whole or "").lower() for whole in item.texts),
    }
    return tests[parameter]


def _figure(name: str, item: Item, currency: str) -> int | None:
    if name == "accounts":
        return item.balance if item.currency == currency else None
    return item.amounts.get(currency)


def _within(figure: int | None, bound: Decimal, end: str) -> bool:
    if figure is None:
        return False
    return figure >= bound if end == "min" else figure <= bound


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _accounts(postings: Sequence[Posting]) -> set[str]:
    return {account for posting in postings for account in (posting.debit, posting.credit)}


def _moment(text: str, end: str) -> datetime:
    given = datetime.fromisoformat(text)
    if end == "to" and len(text) == len("2026-01-31"):
        given += timedelta(days=1)
    return given if given.tzinfo else given.replace(tzinfo=UTC)

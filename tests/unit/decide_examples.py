"""Examples for the tests of `decide`: small commands and small states."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import UUID

import msgspec

from command_side.domain.account import AccountState
from command_side.domain.commands import (
    Cancel,
    Capture,
    ChangeAccount,
    CloseBooks,
    Hold,
    OpenAccount,
    Part,
    Refund,
    Schedule,
    Settle,
    Transfer,
    Void,
)
from command_side.domain.decide import Decidable, decide
from command_side.domain.decision import Decision
from command_side.domain.rejections import Code, Rejection
from command_side.domain.state import ClosedBooks, EarlierTransaction, State, begun
from events.types import (
    Event,
    HoldPlaced,
    Kind,
    Posting,
    TransactionEvent,
    TransferPosted,
    TransferScheduled,
)
from tests.unit.examples import NOON, SCHEMA

ABOUT = UUID("0d9f2c8e-6f3b-5e0a-8c1d-2b4a6c8e0f12")
LEDGER = "main"
YESTERDAY, TOMORROW = NOON - timedelta(days=1), NOON + timedelta(days=1)

Fields = Any  # Whatever a struct takes; mypy cannot follow `**` into its fields.
Pair = tuple[Code, Code]


def account(account_id: str, **policy: Fields) -> AccountState:
    """Return an open account in USD with 500.00 in it, but for what `policy` says."""
    kind = SCHEMA.class_of(account_id) or SCHEMA.classes[-1]
    fields: dict[str, Any] = {
        "ledger": LEDGER,
        "account_id": account_id,
        "account_class": kind.name,
        "account_type": kind.type,
        "currency": "USD",
        "normal_side": kind.normal_side,
        "overdraft_limit": 0,
        "credits_posted": 500_00,
    }
    return AccountState(**fields | policy)


A, B = account("customer:a"), account("customer:b")


def state(
    *accounts: AccountState,
    about: EarlierTransaction | None = None,
    closed_before: datetime | None = None,
) -> State:
    """Return a state with these accounts, perhaps an earlier transaction, perhaps closed books."""
    return State(
        accounts={(found.ledger, found.account_id): found for found in accounts},
        transactions={} if about is None else {ABOUT: about},
        books={} if closed_before is None else {LEDGER: ClosedBooks(LEDGER, closed_before, 1)},
    )


def postings(*given: tuple[Any, ...]) -> tuple[Posting, ...]:
    """Return postings of (debit, credit, amount) in USD, or in the currency that is named."""
    return tuple(
        Posting(debit, credit, amount, currency[0] if currency else "USD")
        for debit, credit, amount, *currency in given
    )


AB = postings(("customer:a", "customer:b", 1_00))


def transfer(
    source: str = "customer:a",
    destination: str = "customer:b",
    amount: int = 1_00,
    **fields: Fields,
) -> Transfer:
    """Return a transfer of 1.00 USD, but for what `fields` say."""
    currency = fields.pop("currency", "USD")
    given: dict[str, Any] = {
        "ledger": LEDGER,
        "key": "k",
        "postings": postings((source, destination, amount, currency)),
    }
    return Transfer(**given | fields)


def hold(**fields: Fields) -> Hold:
    """Return a hold of 1.00 USD, but for what `fields` say."""
    given: dict[str, Any] = {"ledger": LEDGER, "key": "h", "postings": AB}
    return Hold(**given | fields)


def schedule(**fields: Fields) -> Schedule:
    """Return a transfer of 1.00 USD tomorrow, but for what `fields` say."""
    given: dict[str, Any] = {"ledger": LEDGER, "key": "s", "postings": AB, "due_at": TOMORROW}
    return Schedule(**given | fields)


def refund(*parts: Part, **fields: Fields) -> Refund:
    """Return a refund of `parts`, or of all that is left."""
    given: dict[str, Any] = {"ledger": LEDGER, "key": "r", "about": ABOUT, "parts": parts or None}
    return Refund(**given | fields)


def capture(*parts: Part, **fields: Fields) -> Capture:
    """Return a capture of `parts`, or of all that is left."""
    given: dict[str, Any] = {"ledger": LEDGER, "key": "c", "about": ABOUT, "parts": parts or None}
    return Capture(**given | fields)


def void(**fields: Fields) -> Void:
    """Return a void."""
    given: dict[str, Any] = {"ledger": LEDGER, "key": "v", "about": ABOUT}
    return Void(**given | fields)


def cancel(**fields: Fields) -> Cancel:
    """Return a cancellation."""
    given: dict[str, Any] = {"ledger": LEDGER, "key": "x", "about": ABOUT}
    return Cancel(**given | fields)


SETTLE = Settle(about=ABOUT)


def change(account_id: str = "customer:a", **fields: Fields) -> ChangeAccount:
    """Return a change of nothing, but for what `fields` say."""
    given: dict[str, Any] = {"ledger": LEDGER, "account_id": account_id, "currency": "USD"}
    return ChangeAccount(**given | fields)


def opening(account_id: str, **fields: Fields) -> OpenAccount:
    """Return the command that opens an account in USD, but for what `fields` say."""
    given: dict[str, Any] = {"ledger": LEDGER, "account_id": account_id, "currency": "USD"}
    return OpenAccount(**given | fields)


def closing(closed_before: datetime) -> CloseBooks:
    """Return the command that closes the books."""
    return CloseBooks(ledger=LEDGER, closed_before=closed_before)


TEN = postings(("customer:a", "customer:b", 10_00))


def _said(moved: tuple[Posting, ...], fields: dict[str, Any]) -> dict[str, Any]:
    said = {"ledger": LEDGER, "key": "o", "fingerprint": "", "recorded_at": YESTERDAY}
    return said | {"postings": moved} | fields


def posted(*moved: Posting, **fields: Fields) -> TransferPosted:
    """Return the transaction that moved 10.00 USD from customer:a to customer:b."""
    return TransferPosted(**_said(moved or TEN, fields))


def placed(*held: Posting, **fields: Fields) -> HoldPlaced:
    """Return the hold of 10.00 USD from customer:a to customer:b."""
    return HoldPlaced(**_said(held or TEN, {"kind": Kind.HOLD} | fields))


def scheduled(*moved: Posting, **fields: Fields) -> TransferScheduled:
    """Return the transfer of 10.00 USD that is due now."""
    return TransferScheduled(**_said(moved or TEN, {"due_at": NOON} | fields))


def earlier(event: TransactionEvent, *used: int, **fields: Fields) -> EarlierTransaction:
    """Return a transaction as after its first event, but for what is `used` and `fields` say."""
    now = begun(event)
    return msgspec.structs.replace(now, **{"used": used or now.used} | fields)


def decided(command: Decidable, given: State) -> Decision:
    """Decide by the example schema, at noon."""
    return decide(command, given, SCHEMA, NOON)


def events_of(decision: Decision) -> list[Event]:
    """Return the events of a decision that is no refusal."""
    assert not isinstance(decision, Rejection), decision
    return list(decision)


def code_of(command: Decidable, given: State) -> Code:
    """Return the code of a refusal."""
    decision = decided(command, given)
    assert isinstance(decision, Rejection), decision
    assert decision.detail.endswith(".")
    return decision.code


def pairs(faults: Sequence[Code], *exclusive: set[Code]) -> list[Pair]:
    """Return every two of `faults` that can be there at once, in order of precedence."""
    order = list(Code)
    assert list(faults) == sorted(faults, key=order.index)
    return [
        pair
        for pair in combinations(faults, 2)
        if not any(set(pair) <= apart for apart in exclusive)
    ]


def with_all_later(pair: Pair, faults: Sequence[Code], *exclusive: set[Code]) -> list[set[Code]]:
    """Return the two alone, and together with every later fault that can be there with them."""
    many = set(pair)
    for fault in faults[faults.index(pair[1]) :]:
        if not any(fault in apart and many & apart for apart in exclusive):
            many.add(fault)
    return [set(pair), many]

"""Examples for the tests of the pure rooms: a small schema, a time, and events of every kind."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import strategies as st

from events import schema as schemas
from events.types import (
    AccountChanged,
    AccountOpened,
    AccountType,
    BooksClosed,
    Event,
    HoldExpired,
    HoldPlaced,
    HoldVoided,
    Kind,
    Metadata,
    Posting,
    Rate,
    Recorded,
    Side,
    Status,
    TransferCancelled,
    TransferPosted,
    TransferRejected,
    TransferScheduled,
)

NOON = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)
STREAM = UUID("6f1c1f0e-8f5a-5b60-9d7a-3b5a0f0d9c11")

# `listed:` must be opened first, `capped:` takes 100 units at once, `asset:` is debit-normal; an
# id of any other form has no class at all.
SCHEMA_TEXT = """
[defaults]
currency = "USD"
[currencies.USD]
decimals = 2
[currencies.EUR]
decimals = 2
[currencies.JPY]
decimals = 0
[[classes]]
name = "world"
pattern = "world"
normal_side = "credit"
overdraft = "unlimited"
[[classes]]
name = "asset"
pattern = "asset:*"
normal_side = "debit"
[[classes]]
name = "listed"
pattern = "listed:*"
normal_side = "credit"
open_by_use = false
[[classes]]
name = "capped"
pattern = "capped:*"
normal_side = "credit"
amount_max = "100"
[[classes]]
name = "credit-line"
pattern = "line:*"
normal_side = "credit"
overdraft = "50"
[[classes]]
name = "exchange"
pattern = "exchange:*"
normal_side = "credit"
overdraft = "unlimited"
[[classes]]
name = "customer"
pattern = "customer:*"
normal_side = "credit"
"""
SCHEMA = schemas.parse(SCHEMA_TEXT)

OPENED = AccountOpened(
    ledger="main",
    account_id="customer:1",
    account_class="customer",
    account_type=AccountType.LIABILITY,
    currency="USD",
    normal_side=Side.CREDIT,
    overdraft_limit="0",
    recorded_at=NOON,
)
CHANGED = AccountChanged(
    ledger="main",
    account_id="customer:1",
    status=Status.FROZEN,
    overdraft_limit=None,
    recorded_at=NOON,
)
POSTED = TransferPosted(
    ledger="main",
    key="key-1",
    fingerprint="00",
    postings=(Posting("world", "customer:1", 12345, "USD"),),
    recorded_at=NOON,
    metadata={"b": 1, "a": None},
)
REJECTED = TransferRejected(
    ledger="main",
    key="key-2",
    fingerprint="01",
    postings=(),
    recorded_at=NOON,
    code="insufficient_funds",
    detail="No money.",
    kind=Kind.REFUND,
    about=STREAM,
)
BOOKS = BooksClosed(ledger="main", closed_before=NOON, recorded_at=NOON)
_HELD = (Posting("customer:1", "world", 500, "USD"),)
HELD = HoldPlaced(
    ledger="main",
    key="key-3",
    fingerprint="02",
    postings=_HELD,
    recorded_at=NOON,
    kind=Kind.HOLD,
    expires_at=NOON,
    reference="AUTH-1",
)
VOIDED = HoldVoided(
    ledger="main",
    key="key-4",
    fingerprint="03",
    postings=_HELD,
    recorded_at=NOON,
    kind=Kind.VOID,
    about=STREAM,
)
EXPIRED = HoldExpired(ledger="main", key="key-3", postings=_HELD, recorded_at=NOON)
SCHEDULED = TransferScheduled(
    ledger="main",
    key="key-5",
    fingerprint="04",
    postings=_HELD,
    recorded_at=NOON,
    due_at=NOON,
    rate=Rate("USD", "EUR", "0.92"),
)
CANCELLED = TransferCancelled(
    ledger="main",
    key="key-6",
    fingerprint="05",
    postings=_HELD,
    recorded_at=NOON,
    kind=Kind.CANCELLATION,
    about=STREAM,
)
EXAMPLES: tuple[Event, ...] = (
    *(OPENED, CHANGED, BOOKS, POSTED, REJECTED),
    *(HELD, VOIDED, EXPIRED, SCHEDULED, CANCELLED),
)

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
_MOMENTS = st.datetimes(timezones=st.just(UTC))
_AMOUNTS = st.integers(1, 10**38 - 1)
_LIMITS = st.none() | st.integers(0, 10**38 - 1).map(str)
_METADATA: st.SearchStrategy[Metadata] = st.dictionaries(
    _TEXTS | st.just("class_version"),
    _TEXTS | st.integers() | st.booleans() | st.none(),
    max_size=4,
)
_POSTINGS = st.lists(
    st.builds(Posting, _TEXTS, _TEXTS, _AMOUNTS, st.just("USD"), st.integers(0, 99)), max_size=3
)


def events() -> st.SearchStrategy[Event]:
    """Draw an event of any type, with anything in its texts."""
    keyed = {
        "ledger": _TEXTS,
        "key": _TEXTS,
        "fingerprint": _TEXTS,
        "postings": _POSTINGS.map(tuple),
        "recorded_at": _MOMENTS,
        "description": st.none() | _TEXTS,
        "metadata": st.none() | _METADATA,
        "kind": st.sampled_from(Kind),
        "about": st.none() | st.uuids(),
        "effective_at": st.none() | _MOMENTS,
        "reference": st.none() | _TEXTS,
        "rate": st.none() | st.builds(Rate, _TEXTS, _TEXTS, _TEXTS),
    }
    return st.one_of(
        st.builds(
            AccountOpened,
            ledger=_TEXTS,
            account_id=_TEXTS,
            account_class=_TEXTS,
            account_type=st.sampled_from(AccountType),
            metadata=st.none() | _METADATA,
            currency=_TEXTS,
            normal_side=st.sampled_from(Side),
            overdraft_limit=_LIMITS,
            recorded_at=_MOMENTS,
        ),
        st.builds(
            AccountChanged,
            ledger=_TEXTS,
            account_id=_TEXTS,
            status=st.sampled_from(Status),
            overdraft_limit=_LIMITS,
            metadata=st.none() | _METADATA,
            recorded_at=_MOMENTS,
        ),
        st.builds(BooksClosed, ledger=_TEXTS, closed_before=_MOMENTS, recorded_at=_MOMENTS),
        st.builds(TransferPosted, **keyed, completes=st.booleans()),
        st.builds(TransferRejected, **keyed, code=_TEXTS, detail=_TEXTS),
        st.builds(HoldPlaced, **keyed, expires_at=st.none() | _MOMENTS),
        st.builds(HoldVoided, **keyed),
        st.builds(
            HoldExpired,
            ledger=_TEXTS,
            key=_TEXTS,
            postings=_POSTINGS.map(tuple),
            recorded_at=_MOMENTS,
        ),
        st.builds(TransferScheduled, **keyed, due_at=_MOMENTS),
        st.builds(TransferCancelled, **keyed),
    )


@st.composite
def runs(draw: st.DrawFn, size_max: int = 12) -> list[Recorded]:
    """Draw consecutive events of a log, from any position on."""
    first = draw(st.integers(1, 10**12))
    drawn = draw(st.lists(st.tuples(st.uuids(), st.integers(1, 9), events()), max_size=size_max))
    return [Recorded(first + i, *parts) for i, parts in enumerate(drawn)]

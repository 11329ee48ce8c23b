"""What the tests of the pure rooms are made of: a small schema, a moment, events of every kind."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import strategies as st

from events import schema as schemas
from events.vocabulary import (
    AccountChanged,
    AccountOpened,
    Event,
    Metadata,
    Posting,
    Recorded,
    Side,
    Status,
    TransferPosted,
    TransferRejected,
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
name = "customer"
pattern = "customer:*"
normal_side = "credit"
"""
SCHEMA = schemas.parse(SCHEMA_TEXT)

OPENED = AccountOpened(
    ledger="main",
    account_id="customer:1",
    account_class="customer",
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
    postings=(Posting("world", "customer:1", "12345", "USD"),),
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
    refund_of=STREAM,
)
EXAMPLES: tuple[Event, ...] = (OPENED, CHANGED, POSTED, REJECTED)

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
_MOMENTS = st.datetimes(timezones=st.just(UTC))
_AMOUNTS = st.integers(1, 10**38 - 1).map(str)
_LIMITS = st.none() | st.integers(0, 10**38 - 1).map(str)
_METADATA: st.SearchStrategy[Metadata] = st.dictionaries(
    _TEXTS | st.just("class_version"),
    _TEXTS | st.integers() | st.booleans() | st.none(),
    max_size=4,
)
_POSTINGS = st.lists(st.builds(Posting, _TEXTS, _TEXTS, _AMOUNTS, st.just("USD")), max_size=3)


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
        "refund_of": st.none() | st.uuids(),
    }
    return st.one_of(
        st.builds(
            AccountOpened,
            ledger=_TEXTS,
            account_id=_TEXTS,
            account_class=_TEXTS,
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
            recorded_at=_MOMENTS,
        ),
        st.builds(TransferPosted, **keyed),
        st.builds(TransferRejected, **keyed, code=_TEXTS, detail=_TEXTS),
    )


@st.composite
def runs(draw: st.DrawFn, size_max: int = 12) -> list[Recorded]:
    """Draw consecutive events of a log, from any position on."""
    first = draw(st.integers(1, 10**12))
    drawn = draw(st.lists(st.tuples(st.uuids(), st.integers(1, 9), events()), max_size=size_max))
    return [Recorded(first + i, *parts) for i, parts in enumerate(drawn)]

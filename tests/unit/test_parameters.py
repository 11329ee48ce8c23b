"""Parameters of lists: exact values, or a refusal that names the parameter."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import money
from events import schema as schemas
from query_side.list_query import ListQuery, ListRequest
from query_side.parameters import AmountRange, amount_range
from runtime.problems import Invalid
from tests.list_requests import LISTS, list_request
from web import cursors
from web.cursors import Cursor
from web.parameters import MEMBERS_MAX

SCHEMA = schemas.load()
ID = "58db07dd-813e-5e7b-8e64-4bebc0e625c4"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def asked(name: str, query: str) -> ListRequest:
    """Return what `query` asks of the list `name`."""
    return list_request(name, query, SCHEMA)


def listing(name: str, query: str) -> ListQuery:
    """Return the list, without its page."""
    return asked(name, query)[0]


REFUSED = [
    *((name, "lmit=1", "parameter_unknown", "lmit") for name in LISTS),
    *((name, "limit=0", "limit_invalid", "limit") for name in LISTS),
    *((name, "limit=1&limit=1", "parameter_repeated", "limit") for name in LISTS),
    *((name, "cursor=x", "cursor_invalid", "cursor") for name in LISTS),
    *((name, "cursor=", "cursor_invalid", "cursor") for name in LISTS),
    *((name, "order=newest", "order_unknown", "order") for name in LISTS),
    *((name, "kind=", "kind_unknown", "kind") for name in LISTS[:3]),
    *((name, "kind=Transfer", "kind_unknown", "kind") for name in LISTS[:3]),
    *((name, "metadata.a=1", "parameter_unknown", "metadata.a") for name in LISTS[1:3]),
    *((name, "account=%20", "account_id_invalid", "account") for name in LISTS[:2]),
    *((name, "amount_min=1", "currency_required", "currency") for name in LISTS[:3]),
    ("ledger", "account=bob", "parameter_unknown", "account"),
    ("accounts", "kind=transfer", "parameter_unknown", "kind"),
    ("accounts", "prefix=%25", "account_id_invalid", "prefix"),
    ("accounts", "prefix=-", "account_id_invalid", "prefix"),
    ("accounts", "status=OPEN", "status_unknown", "status"),
    ("accounts", "type=money", "type_unknown", "type"),
    ("accounts", "currency=XXQ", "currency_unknown", "currency"),
    ("accounts", "balance_max=1", "currency_required", "currency"),
    ("accounts", "balance_max=&currency=USD", "amount_not_a_number", "balance_max"),
    ("accounts", "opened_to=later", "time_invalid", "opened_to"),
    ("accounts", "text=%00", "control_character", "text"),
    ("accounts", "class=%00", "control_character", "class"),
    ("transactions", "status=completed", "status_unknown", "status"),
    ("transactions", "about=1", "transaction_id_invalid", "about"),
    ("transactions", "reference=%00", "control_character", "reference"),
    ("transactions", "metadata.a=%00", "control_character", "metadata.a"),
    ("transactions", "metadata.%00=a", "control_character", "metadata.\x00"),
    ("transactions", "currency=usd", "currency_unknown", "currency"),
    ("transactions", "currency=USD&amount_min=0.001", "amount_too_precise", "amount_min"),
    ("transactions", "currency=JPY&amount_max=1.5", "amount_too_precise", "amount_max"),
    ("transactions", "currency=USD&amount_min=-1", "amount_not_positive", "amount_min"),
    ("transactions", "currency=USD&amount_min=1e38", "amount_too_large", "amount_min"),
    ("transactions", 'currency=USD&amount_min="1"', "amount_not_a_number", "amount_min"),
    ("transactions", "currency=USD&amount_min=NaN", "amount_not_a_number", "amount_min"),
    ("transactions", "created_from=2026-13-01", "time_invalid", "created_from"),
    ("transactions", "created_from=", "time_invalid", "created_from"),
    ("transactions", "created_from=2026-01-01T00:00+01:00", "time_invalid", "created_from"),
    ("transactions", "effective_to=0001-01-01T00:00%2B23:00", "time_invalid", "effective_to"),
    ("entries", "side=left", "side_unknown", "side"),
    ("entries", "transaction_id=x", "transaction_id_invalid", "transaction_id"),
    ("entries", "recorded_from=%00", "time_invalid", "recorded_from"),
    (
        "transactions",
        "&".join(f"metadata.k{number}=1" for number in range(MEMBERS_MAX + 1)),
        "metadata_too_large",
        f"metadata.k{MEMBERS_MAX}",
    ),
]


@pytest.mark.parametrize("name, query, code, field", REFUSED)
def test_a_malformed_parameter_is_refused(name: str, query: str, code: str, field: str) -> None:
    """With a code that says how, and the parameter's name."""
    with pytest.raises(Invalid) as refusal:
        asked(name, query)
    assert (refusal.value.code, refusal.value.extensions["field"]) == (code, field)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("other", LISTS)
def test_a_cursor_is_of_one_list(name: str, other: str) -> None:
    """Even where the keys look alike."""
    cut = listing(other, "").low
    cursor = Cursor(up=True, cut=cut)
    query = f"cursor={cursors.encode(other, cursor)}"
    if name == other:
        assert asked(name, query)[1].cursor == cursor
        return
    with pytest.raises(Invalid) as refusal:
        asked(name, query)
    assert refusal.value.code == "cursor_invalid"


@pytest.mark.parametrize(
    "query, key_query",
    [
        ("", "transaction_keys"),
        ("text=x&currency=USD", "transaction_keys"),
        ("account=a", "transaction_keys_of_account"),
        ("account=a&reference=a", "transaction_keys_by_reference"),
        (f"account=a&reference=a&about={ID}", "transaction_keys_about"),
    ],
)
def test_the_filter_that_leads_to_the_fewest_rows_leads(query: str, key_query: str) -> None:
    """The others pick, the account's too if it does not lead."""
    made = listing("transactions", query)
    assert made.key_query == key_query
    picks_account = "account=" in query and key_query != "transaction_keys_of_account"
    assert made.row_arguments[1] == ("a" if picks_account else None)


@pytest.mark.parametrize(
    "text, start, end",
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-01-31T12:00Z", NOON, NOON),
        ("2026-01-31T12:00", NOON, NOON),
        ("2026-01-31T13:00:00.000000%2B01:00", NOON, NOON),
    ],
)
def test_a_period_of_days_includes_the_last_one(text: str, start: datetime, end: datetime) -> None:
    """A moment is itself at both ends, in UTC unless it names its offset."""
    period = listing("transactions", f"created_from={text}&created_to={text}").period
    assert period == (start, end)


@given(st.integers(-(10**37), 10**37), st.sampled_from(["USD", "JPY", "ETH"]))
def test_a_balance_is_exact(minor: int, currency: str) -> None:
    """To the last digit, whichever sign."""
    text = money.to_text(minor, SCHEMA.decimals(currency))
    taken = amount_range("balance", (text, text), currency, SCHEMA, signed=True)
    assert taken == AmountRange(minor, minor)


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4), st.sampled_from(LISTS))
def test_any_query_string_is_a_list_or_invalid(pairs: list[tuple[str, str]], name: str) -> None:
    """No text makes another kind of error."""
    names = ("text", "amount_min", "created_to", "about", "order", "metadata.a", "prefix")
    every: list[tuple[str, Any]] = [
        *pairs,
        *((known, text) for known in names for _, text in pairs),
    ]
    for pair in every:
        try:
            list_request("transactions", [pair, ("currency", "USD")], SCHEMA)
        except Invalid:
            continue

"""Which stored events are wanted: told from their bytes alone, for every kind of event."""

from uuid import UUID

import msgspec
import pytest

from events import codec, event_filter
from events.codec import UnreadableEventError
from events.envelope import CloudEvent
from events.event_filter import Wanted
from events.types import EVENT_TYPES, Event
from tests.unit.examples import EXAMPLES, NOON, STREAM

ROWS = [
    {
        "notification_id": 7,
        "originator_id": STREAM,
        "originator_version": 1,
        "topic": event.topic,
        "state": codec.encode(event),
    }
    for event in EXAMPLES
]


def test_a_state_begins_with_its_ledger() -> None:
    """What the queries of events/sql/ledger_log.sql stand on, for every type."""
    assert {type(event) for event in EXAMPLES} == set(EVENT_TYPES)
    for event, row in zip(EXAMPLES, ROWS, strict=True):
        assert isinstance(row["state"], bytes)
        assert row["state"].startswith(b'{"ledger":"%s",' % event.ledger.encode())


@pytest.mark.parametrize("event, row", list(zip(EXAMPLES, ROWS, strict=True)))
def test_an_event_is_wanted_by_all_that_it_says_of_itself(
    event: Event, row: dict[str, object]
) -> None:
    """Ledger, type, accounts, transactions; and by nothing else."""
    postings = getattr(event, "postings", ())
    accounts = {end for posting in postings for end in (posting.debit, posting.credit)}
    accounts |= {getattr(event, "account_id", None)} - {None}
    assert Wanted(event.ledger).takes(row)
    assert not Wanted(f"{event.ledger}x").takes(row)
    assert Wanted(event.ledger, topic=event.topic).takes(row)
    assert not Wanted(event.ledger, topic="something.else").takes(row)
    for account_id in accounts:
        wants = Wanted(event.ledger, account_id=account_id)
        assert wants.takes(row)
        assert wants.needle is not None
        assert wants.needle in codec.encode(event)
    assert not Wanted(event.ledger, account_id="nobody").takes(row)
    assert Wanted(event.ledger, transaction_id=STREAM).takes(row)
    about = getattr(event, "about", None)
    if about is not None:
        assert Wanted(event.ledger, transaction_id=about).takes(row)
    assert not Wanted(event.ledger, transaction_id=UUID(int=99)).takes(row)


def test_a_refund_of_the_first_version_is_about_its_transaction() -> None:
    """It was called otherwise then, and what is stored stays as it is."""
    paid = UUID(int=5)
    state = {"ledger": "main", "recorded_at": NOON, "refund_of": paid, "postings": []}
    row = ROWS[0] | {"state": msgspec.json.encode(state)}
    assert Wanted("main", transaction_id=paid).takes(row)


def test_an_event_is_shown_as_it_is_stored() -> None:
    """Even one of a type that a newer Daybook will have."""
    state = b'{"ledger":"main","recorded_at":"2026-01-31T12:00:00.123456Z","novel":[1]}'
    row = ROWS[0] | {"topic": "account.renamed", "state": state}
    shown = msgspec.json.decode(event_filter.as_json(row), type=CloudEvent)
    assert (shown.id, shown.type, shown.subject, shown.time) == (
        "7",
        "account.renamed",
        STREAM,
        NOON,
    )
    assert bytes(shown.data) == state


def test_a_damaged_state_is_named_by_its_position() -> None:
    """Whoever reads on must know where to look."""
    with pytest.raises(UnreadableEventError, match="position 7"):
        event_filter.as_json(ROWS[0] | {"state": b'{"ledger":"main",'})

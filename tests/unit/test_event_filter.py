"""Which stored events a filter takes: by their bytes alone, for every type of event."""

from uuid import UUID

import msgspec
import pytest

from events import codec
from events.codec import UnreadableEventError
from events.envelope import CloudEvent
from events.event_filter import EventFilter
from events.types import EVENT_TYPES, Event
from query_side.event_feed import answers
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
    """The queries of events/sql/ledger_log.sql rely on it, for every type."""
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
    assert EventFilter(event.ledger).matches(row)
    assert not EventFilter(f"{event.ledger}x").matches(row)
    assert EventFilter(event.ledger, topic=event.topic).matches(row)
    assert not EventFilter(event.ledger, topic="something.else").matches(row)
    for account_id in accounts:
        wants = EventFilter(event.ledger, account_id=account_id)
        assert wants.matches(row)
        assert wants.needle is not None
        assert wants.needle in codec.encode(event)
    assert not EventFilter(event.ledger, account_id="nobody").matches(row)
    assert EventFilter(event.ledger, transaction_id=STREAM).matches(row)
    about = getattr(event, "about", None)
    if about is not None:
        assert EventFilter(event.ledger, transaction_id=about).matches(row)
    assert not EventFilter(event.ledger, transaction_id=UUID(int=99)).matches(row)


def test_a_refund_of_the_first_version_is_about_its_transaction() -> None:
    """It was called otherwise then, and what is stored stays as it is."""
    paid = UUID(int=5)
    state = {"ledger": "main", "recorded_at": NOON, "refund_of": paid, "postings": []}
    row = ROWS[0] | {"state": msgspec.json.encode(state)}
    assert EventFilter("main", transaction_id=paid).matches(row)


def test_an_event_is_shown_as_it_is_stored() -> None:
    """Even one of a type that a newer Daybook will have."""
    state = b'{"ledger":"main","recorded_at":"2026-01-31T12:00:00.123456Z","novel":[1]}'
    row = ROWS[0] | {"topic": "account.renamed", "state": state}
    shown = msgspec.json.decode(answers.event_json(row), type=CloudEvent)
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
        answers.event_json(ROWS[0] | {"state": b'{"ledger":"main",'})

"""Server-Sent Events, read back by the standard's own rules (HTML, 9.2.6)."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from query_side.event_feed import sse
from query_side.event_feed.sse import Message


class Source:
    """An EventSource, as the standard describes it: bytes in, events and a place out."""

    def __init__(self) -> None:
        self.last_id = ""
        self.retry_ms: int | None = None
        self.events: list[tuple[str, str, str]] = []

    def read(self, stream: bytes) -> None:
        """Interpret a whole stream, line by line."""
        place, event, data = self.last_id, "", list[str]()
        for line in stream.decode().split("\n"):
            name, colon, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                self.last_id = place
                if data:
                    self.events.append((place, event or "message", "\n".join(data)))
                event, data = "", []
            elif name == "id":
                place = value
            elif name == "event":
                event = value
            elif name == "data":
                data.append(value)
            elif name == "retry":
                self.retry_ms = int(value)
            else:
                assert colon, line
                assert name == "", line


JSON = st.dictionaries(st.text(), st.text() | st.integers()).map(msgspec.json.encode)
MESSAGES = st.lists(
    st.builds(
        Message,
        st.integers(1, 2**63).map(str),
        st.sampled_from(("transfer.posted", "account.opened")),
        JSON,
    )
)


@given(MESSAGES)
def test_messages_are_read_as_they_were_sent(messages: list[Message]) -> None:
    """Any data comes back, because JSON has no line end of its own."""
    source = Source()
    source.read(b"".join(map(sse.encoded, messages)))
    assert source.events == [(m.id, m.event, m.data.decode()) for m in messages]


def test_opening_and_beat_move_the_place_and_are_no_events() -> None:
    """A client that got no event yet knows where to go on."""
    source = Source()
    source.read(sse.opening("41"))
    assert (source.last_id, source.retry_ms, source.events) == ("41", sse.RETRY_MS, [])
    source.read(sse.beat("99"))
    assert (source.last_id, source.events) == ("99", [])

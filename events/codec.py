"""Bytes ↔ event, by the `eventsourcing` library's convention.

State is JSON without the originator's id and version (they are columns). From class version 2 on
it carries `"class_version"`, and the class has static methods `upcast_v1_v2(state)`, … that bring
an older dictionary up to date in place, one version at a time.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from events.types import EVENT_TYPES, Event, Posting, Recorded
from runtime.sql import Row

Shape = TypeVar("Shape", bound=msgspec.Struct)

_ENCODER = msgspec.json.Encoder(order="deterministic")
_VERSION_MARK = b'"class_version"'


class WrittenPosting(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A posting as JSON has it: `amount` is a decimal string of minor units."""

    debit: str
    credit: str
    amount: str
    currency: str
    line: int = 0


def written(postings: Iterable[Posting]) -> tuple[WrittenPosting, ...]:
    """Return `postings` as they are written to JSON."""
    return tuple(
        [
            WrittenPosting(p.debit, p.credit, str(p.amount_minor), p.currency, p.line)
            for p in postings
        ]
    )


class Form(NamedTuple):
    """How events of a type are stored.

    The version ends the state, so that the current one is recognised without reading the rest;
    version 1 is not written at all. An event that `moves` has postings.
    """

    kind: type[Event]
    decoder: msgspec.json.Decoder[Event]
    ending: bytes
    moves: bool


def form(kind: type[Event]) -> Form:
    """Return how events of type `kind` are stored."""
    version = kind.class_version
    ending = b',"class_version":%d}' % version if version > 1 else b""
    # Amounts are decimal strings there and integers here; only a lax decoder reads them so.
    decoder = msgspec.json.Decoder(kind, strict=False)
    return Form(kind, decoder, ending, "postings" in kind.__struct_fields__)


_FORMS = {kind.topic: form(kind) for kind in EVENT_TYPES}


class UnreadableEventError(ValueError):
    """An event in the log cannot be read: unknown topic, newer version, or damaged bytes."""


def encode(event: Event) -> bytes:
    """Return the state bytes of `event`; the same event gives the same bytes."""
    known = _FORMS[event.topic]
    if known.moves:
        event = replace(event, postings=written(event.postings))  # type: ignore[union-attr]
    state = _ENCODER.encode(event)
    return state[:-1] + known.ending if known.ending else state


def as_written(event: Shape) -> Shape:
    """Return `event` with its postings, if it has some, as they are written to JSON."""
    postings: Iterable[Posting] | None = getattr(event, "postings", None)
    return event if postings is None else replace(event, postings=written(postings))


def decode(topic: str, state: bytes) -> Event:
    """Return the event of `topic` in `state`, upcast if it is old. Raises UnreadableEventError."""
    known = _FORMS.get(topic)
    if known is None:
        raise UnreadableEventError(f"unknown topic {topic!r}: a newer Daybook wrote this event")
    ending = known.ending
    try:
        if state.endswith(ending) if ending else _VERSION_MARK not in state:
            return known.decoder.decode(state)
        return _upcast(known.kind, msgspec.json.decode(state, type=dict[str, object]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEventError(
            f"the state of a {topic!r} event cannot be read: {error}"
        ) from error


def recorded(row: Row) -> Recorded:
    """Return the event of a stored row, in its place. Raises UnreadableEventError."""
    try:
        event = decode(row["topic"], row["state"])
    except UnreadableEventError as error:
        raise UnreadableEventError(f"position {row['notification_id']}: {error}") from error
    return Recorded(row["notification_id"], row["originator_id"], row["originator_version"], event)


def _upcast(kind: type[Event], fields: dict[str, object]) -> Event:
    version = fields.pop("class_version", 1)
    if not isinstance(version, int) or version < 1:
        raise UnreadableEventError(f"{kind.topic!r} has the impossible version {version!r}")
    if version > kind.class_version:
        raise UnreadableEventError(
            f"{kind.topic!r} has version {version}, newer than {kind.class_version}"
        )
    while version < kind.class_version:
        getattr(kind, f"upcast_v{version}_v{version + 1}")(fields)
        version += 1
    return msgspec.convert(fields, kind, strict=False)

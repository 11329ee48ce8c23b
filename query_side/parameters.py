"""The query string of a list, taken apart name by name. Pure.

What is given twice, is malformed, or was taken by nobody is refused: a typing error must not pass
for a list without that filter.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, TypeVar
from uuid import UUID

from events import money
from events.schema import ACCOUNT_ID, Schema
from runtime.problems import Invalid
from web import cursors, times
from web.cursors import Cursor, Cut

METADATA = "metadata."
METADATA_MAX = 20

Choice = TypeVar("Choice", bound=StrEnum)


class Order(StrEnum):
    """Ascending or descending by the list's key."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class Paging(NamedTuple):
    """Which page: `limit` rows from `cursor` on (None: where the list begins), in this order."""

    ascending: bool
    cursor: Cursor | None
    limit: int


class Period(NamedTuple):
    """From `start` (inclusive) to `end` (exclusive)."""

    start: datetime | None = None
    end: datetime | None = None


class Range(NamedTuple):
    """From `least` to `most` minor units, both inclusive."""

    least: int | None = None
    most: int | None = None


class Notes(NamedTuple):
    """Metadata that is asked for: `values` by their `keys`, one for one."""

    keys: list[str]
    values: list[str]


class Parameters:
    """A query string; each method takes its parameter, if it is given, and raises Invalid."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._given: dict[str, str] = {}
        self._notes = Notes([], [])
        for name, text in pairs:
            if name.startswith(METADATA):
                self._note(name, text)
            elif name in self._given:
                raise Invalid("parameter_repeated", f"`{name}` is given twice.", field=name)
            else:
                self._given[name] = text

    def done(self) -> None:
        """Raise Invalid if there is a parameter that was not taken."""
        unknown = [*self._given, *(METADATA + key for key in self._notes.keys)]
        if unknown:
            detail = f"This route has no parameter `{unknown[0]}`."
            raise Invalid("parameter_unknown", detail, field=unknown[0])

    def text(self, name: str) -> str | None:
        """Take any text that PostgreSQL can hold."""
        text = self._given.pop(name, None)
        return None if text is None else _checked(text, name)

    def account(self, name: str) -> str | None:
        """Take an account id."""
        text = self._given.pop(name, None)
        if text is not None and not ACCOUNT_ID.fullmatch(text):
            raise Invalid("account_id_invalid", f"`{name}` is not an account id.", field=name)
        return text

    def prefix(self, name: str) -> str:
        """Take how an account id may begin; without it, anyhow."""
        text = self._given.pop(name, "")
        if text and not ACCOUNT_ID.fullmatch(text):
            raise Invalid("account_id_invalid", f"No account id begins with `{name}`.", field=name)
        return text

    def transaction(self, name: str) -> UUID | None:
        """Take a transaction id."""
        text = self._given.pop(name, None)
        try:
            return None if text is None else UUID(text)
        except ValueError as error:
            detail = f"`{name}` is not a transaction id."
            raise Invalid("transaction_id_invalid", detail, field=name) from error

    def position(self, name: str) -> int | None:
        """Take a position of the log; 0 is before its first event."""
        text = self._given.pop(name, None)
        return None if text is None else position(text, name)

    def choice(self, name: str, choices: type[Choice]) -> Choice | None:
        """Take one of `choices`."""
        text = self._given.pop(name, None)
        try:
            return None if text is None else choices(text)
        except ValueError as error:
            known = ", ".join(choices)
            raise Invalid(
                f"{name}_unknown", f"`{name}` must be one of: {known}.", field=name
            ) from error

    def currency(self, schema: Schema) -> str | None:
        """Take `currency`, one of the schema's."""
        text = self._given.pop("currency", None)
        if text is not None:
            schema.decimals(text)
        return text

    def period(self, name: str) -> Period:
        """Take `name`_from and `name`_to; a day as `name`_to is included whole."""
        return Period(
            self._moment(f"{name}_from", times.start), self._moment(f"{name}_to", times.end)
        )

    def range(
        self, name: str, currency: str | None, schema: Schema, *, signed: bool = False
    ) -> Range:
        """Take `name`_min and `name`_max, in units of `currency`."""
        return Range(
            self._amount(f"{name}_min", currency, schema, signed=signed),
            self._amount(f"{name}_max", currency, schema, signed=signed),
        )

    def notes(self) -> Notes:
        """Take all metadata.KEY=VALUE."""
        taken, self._notes = self._notes, Notes([], [])
        return taken

    def paging(self, name: str, example: Cut, order: Order = Order.DESCENDING) -> Paging:
        """Take `order`, `cursor` and `limit`; the cursor is of the list `name`."""
        ascending = (self.choice("order", Order) or order) is Order.ASCENDING
        cursor = self._given.pop("cursor", None)
        return Paging(
            ascending,
            None if cursor is None else cursors.decode(cursor, name, example),
            cursors.limit(self._given.pop("limit", None)),
        )

    def _note(self, name: str, text: str) -> None:
        if len(self._notes.keys) == METADATA_MAX:
            detail = f"At most {METADATA_MAX} parameters `metadata.KEY` can be given."
            raise Invalid("metadata_too_large", detail, field=name)
        self._notes.keys.append(_checked(name.removeprefix(METADATA), METADATA))
        self._notes.values.append(_checked(text, name))

    def _moment(self, name: str, meaning: times.Meaning) -> datetime | None:
        text = self._given.pop(name, None)
        return None if text is None else meaning(text, name, "time_invalid")

    def _amount(
        self, name: str, currency: str | None, schema: Schema, *, signed: bool
    ) -> int | None:
        text = self._given.pop(name, None)
        if text is None:
            return None
        if currency is None:
            detail = f"`{name}` needs `currency`: amounts of several cannot be compared."
            raise Invalid("currency_required", detail, field="currency")
        amount = money.parse(b'"%s"' % text.encode(), name)
        if not amount:
            return 0
        negative = signed and amount < 0
        minor = money.to_minor(
            amount.copy_abs() if signed else amount, schema.decimals(currency), currency, name
        )
        return -minor if negative else minor


def position(text: str, field: str) -> int:
    """Return the position in `text`. Raises Invalid."""
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(cursors.BIGGEST))
    if not digits or int(text) > cursors.BIGGEST:
        raise Invalid("position_invalid", f"`{field}` takes a position: a number.", field=field)
    return int(text)


def _checked(text: str, field: str) -> str:
    if "\x00" in text:
        raise Invalid("control_character", f"`{field}` holds a control character.", field=field)
    return text

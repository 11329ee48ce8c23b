"""What every statement is read into, whatever its format. Pure.

Amounts are signed integers of minor units, as the statement's owner sees them: positive is money
in, which the bank calls a credit. A statement is made of pages: each has its own balances, and the
next one takes up where it ended.
"""

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from itertools import pairwise

import msgspec

from events import money
from runtime.problems import Invalid, TooLarge

LINES_MAX = 100_000
TEXT_CHARACTERS_MAX = 4_000
REFERENCE_CHARACTERS_MAX = 255
REFERENCES_MAX = 1_000
YEARS = range(1970, 2200)
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)
# What banks write where there is no reference, as `key` makes it.
_NO_REFERENCE = {"notprovided", "nonref", "noref", "none", "n/a", "-", "0"}


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One movement; `number` counts the file's lines from 1, `amount` is never zero."""

    number: int
    booked_on: date
    value_on: date | None = None
    amount: int
    references: tuple[str, ...] = ()
    counterparty: str | None = None
    text: str | None = None


class StatementPage(msgspec.Struct, frozen=True):
    """Lines between two balances, as far as these are given."""

    lines: tuple[StatementLine, ...]
    opening: int | None = None
    closing: int | None = None


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """`account` is what the sender calls it; the days are those of the lines, if no others."""

    account: str | None
    currency: str
    pages: tuple[StatementPage, ...]
    starts_on: date | None
    ends_on: date | None

    @property
    def lines(self) -> list[StatementLine]:
        """All lines, in the order of the file."""
        return [line for page in self.pages for line in page.lines]

    @property
    def opening(self) -> int | None:
        """The balance before the first page."""
        return self.pages[0].opening if self.pages else None

    @property
    def closing(self) -> int | None:
        """The balance after the last page."""
        return self.pages[-1].closing if self.pages else None


class Mismatch(msgspec.Struct, frozen=True):
    """A balance that the statement's own figures do not lead to, in minor units."""

    page: int
    expected: int
    actual: int
    after_lines: bool


def put_together(
    account: str | None,
    currency: str,
    pages: Iterable[StatementPage],
    first: date | None = None,
    last: date | None = None,
) -> Statement:
    """Return a statement; it covers its lines' days even where the sender says otherwise.

    The day of an opening balance is no `first` day: with many banks it is the day before.
    """
    made = tuple(pages)
    booked = [line.booked_on for page in made for line in page.lines]
    ends_on = max([*booked, *([last] if last else [])], default=None)
    starts_on = min(
        [*booked, *([first] if first else []), *([ends_on] if ends_on else [])], default=None
    )
    for day in (starts_on, ends_on):
        if day is not None and day.year not in YEARS:
            raise unreadable(f"It is of {day}, which is no day of a statement.")
    return Statement(
        account=account, currency=currency, pages=made, starts_on=starts_on, ends_on=ends_on
    )


def mismatches(statement: Statement) -> list[Mismatch]:
    """Return where opening + lines is not closing, or a page does not begin as the last ended."""
    found = []
    for number, page in enumerate(statement.pages, 1):
        if page.opening is None or page.closing is None:
            continue
        reached = page.opening + sum(line.amount for line in page.lines)
        if reached != page.closing:
            found.append(Mismatch(number, reached, page.closing, after_lines=True))
    for number, (one, other) in enumerate(pairwise(statement.pages), 2):
        if None not in (one.closing, other.opening) and one.closing != other.opening:
            assert one.closing is not None
            assert other.opening is not None
            found.append(Mismatch(number, one.closing, other.opening, after_lines=False))
    return sorted(found, key=lambda mismatch: mismatch.page)


def minor(text: str, decimals: int, currency: str, field: str) -> int:
    """Return plain units, unsigned, as minor units: "1.50" with 2 is 150. Raises Invalid.

    Nothing is rounded: more decimals than the currency has are refused, unless they are zeros.
    """
    if not _PLAIN.fullmatch(text):
        raise Invalid("amount_not_a_number", f"`{field}` is no amount: {shortened(text)}.")
    if not text.strip("0."):
        return 0
    return money.to_minor(Decimal(text), decimals, currency, field)


def key(reference: str) -> str | None:
    """Return what two references must share to be one; None for those that mean "none"."""
    made = "".join(reference.split()).casefold()
    return None if not made or made in _NO_REFERENCE else made


def references(*given: str | None) -> tuple[str, ...]:
    """Return what there is of them, each once, without those that mean "none"."""
    found: dict[str, str] = {}
    for text in given:
        if text is not None and (known := key(text)) is not None:
            found.setdefault(known, text.strip())
    return tuple(found.values())


def words(*given: str | None) -> str | None:
    """Return texts as one, with single spaces; None if there is none."""
    return " ".join(" ".join(text.split()) for text in given if text and text.strip()) or None


def checked(line: StatementLine) -> StatementLine:
    """Return the line. Raises Invalid if its texts are too long to keep, or its day is odd."""
    if line.booked_on.year not in YEARS:
        raise at_line(line.number, "date", f"{line.booked_on} is no day of a statement")
    if len(line.references) > REFERENCES_MAX:
        raise at_line(line.number, "reference", f"there are more than {REFERENCES_MAX}")
    for field, texts, characters_max in (
        ("reference", line.references, REFERENCE_CHARACTERS_MAX),
        ("counterparty", (line.counterparty,), TEXT_CHARACTERS_MAX),
        ("text", (line.text,), TEXT_CHARACTERS_MAX),
    ):
        if any(len(text) > characters_max for text in texts if text):
            raise at_line(line.number, field, f"it has more than {characters_max} characters")
    return line


def at_line(number: int, field: str, what: str) -> Invalid:
    """Say which field of which line of the file cannot be read, and why."""
    detail = f"Line {number} of the statement, {field}: {what}. Nothing was imported."
    return Invalid("statement_line_invalid", detail, line=number, field=field)


def unreadable(what: str) -> Invalid:
    """Say why the file as a whole is not what it should be."""
    return Invalid("statement_unreadable", f"{what} Nothing was imported.")


def several(what: str) -> Invalid:
    """Say that the file is about more than one account."""
    detail = f"The file has statements of several {what}. Import one account at a time."
    return Invalid("statement_ambiguous", detail)


def too_long() -> TooLarge:
    """Say that the file has too many lines."""
    detail = f"A statement may have at most {LINES_MAX:,} lines. Import it in parts."
    return TooLarge("statement_too_long", detail)


def shortened(text: str) -> str:
    """Return what a message can show of some text of the file."""
    shown = text if len(text) <= 40 else f"{text[:40]}…"  # noqa: PLR2004 - a glance
    return repr(shown)

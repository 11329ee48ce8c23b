"""CSV of any bank or processor, by a mapping of its columns that the client gives. Pure.

    map.date           the booking date's column; needed
    map.amount         signed, positive is money in; or with `direction`, which says C or D
    map.debit, credit  instead: what went out, what came in; an empty cell is nothing
    map.value_date, reference, description, counterparty, currency, balance

A column is its name in the header or `#3`, the third one. `reference` and `description` may be
several, separated by `|`. The rest says how the file is written.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime

import msgspec

from bank_statements import statement as statements
from bank_statements.statement import Statement, StatementLine, StatementPage
from events.schema import Schema
from runtime.csv_cells import plain
from runtime.problems import Invalid

DELIMITERS = (",", ";", "\t", "|")
DECIMALS = (".", ",")
THOUSANDS = ("", ".", ",", " ", "'")
SKIP_MAX = 1_000
COLUMNS_MAX = 1_000
# The csv module's own bound is one for the whole process; bodies are bounded before.
_NUMBERED = re.compile(r"#([1-9][0-9]{0,2})", re.ASCII)
_TOKENS = {"YYYY": "%Y", "YY": "%y", "MM": "%m", "DD": "%d"}
_TOKEN = re.compile("YYYY|YY|MM|DD")
_IN = {"c", "cr", "crdt", "credit", "h", "haben", "in", "+"}
_OUT = {"d", "dr", "dbit", "debit", "s", "soll", "out", "-"}
_SPACES = str.maketrans(dict.fromkeys("\u00a0\u202f\u2009", " ") | {"−": "-", "’": "'"})


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which column is what, and how the file is written; the module says what each means."""

    date: str
    amount: str | None = None
    direction: str | None = None
    debit: str | None = None
    credit: str | None = None
    value_date: str | None = None
    reference: str | None = None
    description: str | None = None
    counterparty: str | None = None
    currency: str | None = None
    balance: str | None = None
    delimiter: str = ","
    decimal: str = "."
    thousands: str = ""
    date_format: str = "YYYY-MM-DD"
    header: str = "yes"
    skip: str = "0"
    only: str | None = None


def mapping(given: dict[str, str]) -> Mapping:
    """Return the mapping that is given, checked. Raises Invalid."""
    try:
        made = msgspec.convert(given, Mapping)
    except msgspec.ValidationError as error:
        raise _wrong(str(error)) from error
    if (made.amount is None) == (made.debit is None and made.credit is None):
        raise _wrong("give `map.amount`, or `map.debit` and `map.credit`")
    if made.direction is not None and made.amount is None:
        raise _wrong("`map.direction` goes with `map.amount`")
    if made.delimiter == "tab":
        made = msgspec.structs.replace(made, delimiter="\t")
    for name, text, known in (
        ("delimiter", made.delimiter, DELIMITERS),
        ("decimal", made.decimal, DECIMALS),
        ("thousands", made.thousands, THOUSANDS),
        ("header", made.header, ("yes", "no")),
    ):
        if text not in known:
            raise _wrong(f"`map.{name}` must be one of {', '.join(map(repr, known))}")
    if made.decimal == made.thousands:
        raise _wrong("`map.decimal` and `map.thousands` are the same")
    if not made.skip.isascii() or not made.skip.isdigit() or int(made.skip[:9]) > SKIP_MAX:
        raise _wrong(f"`map.skip` is how many rows come before the header: 0 to {SKIP_MAX}")
    if sorted(_TOKEN.findall(made.date_format)) not in (["DD", "MM", "YYYY"], ["DD", "MM", "YY"]):
        raise _wrong("`map.date_format` has YYYY or YY, MM and DD, such as DD.MM.YYYY")
    if made.only is not None and ":" not in made.only:
        raise _wrong("`map.only` is COLUMN:VALUE, such as status:Completed")
    return made


def parse(text: str, given: Mapping, currency: str, schema: Schema) -> Statement:
    """Return the statement in `text`, in `currency` unless a column says so. Raises Invalid."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=given.delimiter, strict=True)
    reading = _Reading(given, currency, schema)
    try:
        for row in reader:
            reading.take(row, reader.line_num)
    except csv.Error as error:
        raise statements.at_line(reader.line_num, "row", str(error)) from error
    return reading.statement()


class _Reading:
    """The rows so far. Lines are numbered as the file's own, so that people find them."""

    def __init__(self, given: Mapping, currency: str, schema: Schema) -> None:
        self._given = given
        self._currency = currency
        self._decimals = schema.decimals(currency)
        self._skip = int(given.skip)
        self._columns: dict[str, int] | None = None if given.header == "yes" else {}
        self._lines: list[StatementLine] = []
        self._balances: list[int] = []
        self._format = _TOKEN.sub(lambda found: _TOKENS[found[0]], given.date_format)
        sep = re.escape(given.thousands)
        grouped = rf"|[0-9]{{1,3}}(?:{sep}[0-9]{{2,3}})*{sep}[0-9]{{3}}" if sep else ""
        point = re.escape(given.decimal)
        self._amount_of = re.compile(rf"(?:[0-9]*{grouped})(?:{point}[0-9]*)?", re.ASCII)

    def take(self, row: Sequence[str], number: int) -> None:
        """Take one row, which ends on the file's line `number`."""
        if len(row) > COLUMNS_MAX:
            raise statements.at_line(number, "row", f"it has more than {COLUMNS_MAX} columns")
        if self._skip:
            self._skip -= 1
        elif not any(cell.strip() for cell in row):
            pass
        elif self._columns is None:
            self._columns = self._header(row)
        elif self._wanted(row, number):
            line = self._line(row, number)
            if line is not None:
                self._lines.append(line)
            if len(self._lines) > statements.LINES_MAX:
                raise statements.too_long()

    def statement(self) -> Statement:
        """Return what was read; a balance column makes the opening and the closing balance."""
        if self._columns is None:
            raise statements.unreadable("The file has no header row.")
        opening = closing = None
        if self._balances and len(self._balances) == len(self._lines):
            opening, closing = self._ends()
        page = StatementPage(tuple(self._lines), opening, closing)
        return statements.put_together(None, self._currency, [page])

    def _ends(self) -> tuple[int, int]:
        """Return both balances, of a file that goes either forwards or backwards in time."""
        first, last = self._lines[0], self._lines[-1]
        if first.booked_on <= last.booked_on:
            return self._balances[0] - first.amount, self._balances[-1]
        return self._balances[-1] - last.amount, self._balances[0]

    def _header(self, row: Sequence[str]) -> dict[str, int]:
        names = [cell.strip() for cell in row]
        for column in self._mapped():
            if not _NUMBERED.fullmatch(column) and names.count(column) != 1:
                there = "twice in" if column in names else "not in"
                raise _wrong(f"the column {statements.shortened(column)} is {there} the header")
        return {name: place for place, name in enumerate(names)}

    def _mapped(self) -> Iterator[str]:
        given = self._given
        yield from (
            column.strip()
            for several in (given.reference, given.description)
            for column in (several or "").split("|")
            if column.strip()
        )
        for column in (
            *(given.date, given.amount, given.direction, given.debit, given.credit),
            *(given.value_date, given.counterparty, given.currency, given.balance),
            given.only and given.only.rpartition(":")[0],
        ):
            if column is not None:
                yield column

    def _cell(self, row: Sequence[str], column: str | None, number: int) -> str:
        """Return a cell without the space around it; empty without a column."""
        if column is None:
            return ""
        assert self._columns is not None
        numbered = _NUMBERED.fullmatch(column)
        place = int(numbered[1]) - 1 if numbered else self._columns.get(column)
        if place is None:
            raise _wrong(f"without a header a column is #1, #2 …, not {column!r}")
        if place >= len(row):
            raise statements.at_line(number, column, f"the row has only {len(row)} columns")
        return row[place].strip()

    def _wanted(self, row: Sequence[str], number: int) -> bool:
        if self._given.only is None:
            return True
        column, _, value = self._given.only.rpartition(":")
        return self._cell(row, column, number) == value.strip()

    def _line(self, row: Sequence[str], number: int) -> StatementLine | None:
        """Return a line; None if it moves nothing."""
        given = self._given
        currency = self._cell(row, given.currency, number)
        if given.currency is not None and currency != self._currency:
            what = f"it is in {statements.shortened(currency)}, the account in {self._currency}"
            raise statements.at_line(number, given.currency, what)
        amount = self._amount(row, number)
        if given.balance is not None and amount != 0:
            balance = self._cell(row, given.balance, number)
            self._balances.append(self._signed(balance, given.balance, number))
        if amount == 0:
            return None
        value = self._cell(row, given.value_date, number)
        return statements.checked(
            StatementLine(
                number=number,
                booked_on=self._day(self._cell(row, given.date, number), given.date, number),
                value_on=self._day(value, str(given.value_date), number) if value else None,
                amount=amount,
                references=statements.references(*self._texts(row, given.reference, number)),
                counterparty=statements.words(plain(self._cell(row, given.counterparty, number))),
                text=statements.words(*self._texts(row, given.description, number)),
            )
        )

    def _texts(self, row: Sequence[str], columns: str | None, number: int) -> list[str]:
        named = [column.strip() for column in (columns or "").split("|") if column.strip()]
        return [plain(self._cell(row, column, number)) for column in named]

    def _amount(self, row: Sequence[str], number: int) -> int:
        given = self._given
        if given.amount is None:
            sides = [
                self._signed(cell, str(column), number) if cell else 0
                for column in (given.credit, given.debit)
                for cell in [self._cell(row, column, number)]
            ]
            # Some banks sign what went out, in its own column, too.
            return sides[0] - abs(sides[1])
        amount = self._signed(self._cell(row, given.amount, number), given.amount, number)
        if given.direction is None:
            return amount
        word = self._cell(row, given.direction, number).casefold()
        if word not in _IN | _OUT:
            what = f"{statements.shortened(word)} is no direction, such as C or D"
            raise statements.at_line(number, given.direction, what)
        return abs(amount) if word in _IN else -abs(amount)

    def _signed(self, cell: str, column: str, number: int) -> int:
        """Return an amount as people write it: -1, 1-, (1), +1, with its separators."""
        given = self._given
        text = cell.translate(_SPACES).strip()
        negative = text.startswith("-") or text.endswith("-")
        if text.startswith("(") and text.endswith(")"):
            negative, text = True, text[1:-1].strip()
        elif text[:1] in ("-", "+"):
            text = text[1:].strip()
        elif text[-1:] in ("-", "+"):
            text = text[:-1].strip()
        if not text or not self._amount_of.fullmatch(text):
            raise statements.at_line(number, column, f"{statements.shortened(cell)} is no amount")
        if given.thousands:
            text = text.replace(given.thousands, "")
        text = text.replace(given.decimal, ".")
        try:
            amount = statements.minor(text, self._decimals, self._currency, column)
        except Invalid as problem:
            raise statements.at_line(number, column, problem.detail.rstrip(".")) from problem
        return -amount if negative else amount

    def _day(self, cell: str, column: str, number: int) -> date:
        text = cell if " " in self._format else re.split("[T ]", cell, maxsplit=1)[0]
        try:
            # A day has no zone, so neither has what it is read by.
            return datetime.strptime(text, self._format).date()  # noqa: DTZ007
        except ValueError as error:
            what = f"{statements.shortened(cell)} is no date like {self._given.date_format}"
            raise statements.at_line(number, column, what) from error


def _wrong(what: str) -> Invalid:
    return Invalid("mapping_invalid", f"The mapping is wrong: {what}.", field="map")

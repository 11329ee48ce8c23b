"""Write a result row by row as text, CSV, JSON, or one JSON object a line.

text     a table of the narrow columns, then the closing lines
csv      a header, then the rows (RFC 4180)
json     one object: the rows under their name, then the totals beside them
ndjson   the rows, one a line
"""

import csv
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, TextIO

import msgspec

from runtime.csv_cells import guarded

Values = Mapping[str, object]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class OutputFormat(StrEnum):
    """The format that a result is written in."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"


class Column(NamedTuple):
    """A column. Its width in text: negative aligns to the left, 0 leaves the column out."""

    name: str
    width: int = 0


class Sheet(NamedTuple):
    """Rows, and totals known after the last row: `beside` them in JSON, `closing` lines in text."""

    name: str
    columns: Sequence[Column]
    rows: AsyncIterator[Values]
    beside: Callable[[], Values]
    closing: Callable[[], Sequence[str]]


async def write(sheet: Sheet, form: OutputFormat, out: TextIO) -> None:
    """Write a sheet, row by row."""
    match form:
        case OutputFormat.TEXT:
            await _write_text(sheet, out)
        case OutputFormat.CSV:
            await _write_csv(sheet, out)
        case OutputFormat.JSON:
            await _write_json(sheet, out)
        case OutputFormat.NDJSON:
            async for row in sheet.rows:
                out.write(_json(row) + "\n")


async def _write_text(sheet: Sheet, out: TextIO) -> None:
    narrow = [column for column in sheet.columns if column.width]

    def line(cells: Values) -> str:
        padded = (
            _text(cells[name]).ljust(-width) if width < 0 else _text(cells[name]).rjust(width)
            for name, width in narrow
        )
        return " ".join(padded).rstrip() + "\n"

    out.write(line({name: name.replace("_", " ") for name, _ in narrow}))
    async for row in sheet.rows:
        out.write(line(row))
    out.writelines(f"{text}\n" for text in sheet.closing())


async def _write_csv(sheet: Sheet, out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(column.name for column in sheet.columns)
    async for row in sheet.rows:
        writer.writerow(_cell(row[column.name]) for column in sheet.columns)


def _cell(value: object) -> str:
    """Return a value as a cell of CSV. An amount may begin with a minus; other text is guarded."""
    text = _text(value)
    return text if _NUMBER.fullmatch(text) else guarded(text)


async def _write_json(sheet: Sheet, out: TextIO) -> None:
    separator = f'{{"{sheet.name}":['
    async for row in sheet.rows:
        out.write(separator + _json(row))
        separator = ","
    if separator != ",":
        out.write(separator)
    beside = "".join(f",{_json(name)}:{_json(value)}" for name, value in sheet.beside().items())
    out.write(f"]{beside}}}\n")


def _json(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()


def _text(value: object) -> str:
    """Return a value as a cell: None is empty; what is neither text nor number is JSON."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else _json(value)
    return text.removeprefix('"').removesuffix('"')

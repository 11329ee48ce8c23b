"""Named SQL: `queries("events")["lock_head"]` is the text below `-- name: lock_head`.

All SQL lives in the `sql/` folder of the room that owns it, so that it can be read, linted and
prepared against the migrated schema without running any Python.
"""

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec


class Row(Protocol):
    """A row of an answer: asyncpg's, or a dictionary that stands in for one."""

    def __getitem__(self, column: str, /) -> Any:  # noqa: ANN401 - the column's own type
        """Return one column."""


ROOT = Path(__file__).resolve().parent.parent
_ENCODER = msgspec.json.Encoder()
_ESCAPED = re.compile(rb"\\(?:u[0-9a-f]{4}|.)", re.IGNORECASE)
_KEPT = (rb"\"", rb"\\")
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def as_rows(structs: Sequence[object]) -> str:
    """Return rows as one JSON parameter, for `json_populate_recordset(null::table, $1)`.

    Field names are column names, and integers have no size limit. Against one array a column this
    takes a third of the client's time and no more of the server's (measured with 2,000 rows).
    """
    return msgspec.json.encode(structs).decode()


def as_csv(structs: Sequence[msgspec.Struct]) -> bytes:
    r"""Return rows for COPY in CSV format, with NULL 'null' and ESCAPE '\'; None is NULL.

    JSON's arrays are nearly that already: a quoted text is quoted, `null` is not. What is left are
    the brackets, and the characters that JSON names and CSV takes as they are.
    """
    return _plain(b"\n".join(_arrays(structs)))


def as_records(structs: Sequence[msgspec.Struct]) -> list[str]:
    """Return rows as one parameter, for `unnest($1::text[]::table[])`: fields in columns' order.

    No field may be None. PostgreSQL reads its records as it reads CSV. Against `as_rows` that
    spares it the names: a quarter of its time for an UPDATE (measured with 3,640 rows).
    """
    return [f"({_plain(row).decode()})" for row in _arrays(structs)]


def _arrays(structs: Sequence[msgspec.Struct]) -> list[bytes]:
    """Return each as a JSON array without its brackets; an `array_like` struct is one already."""
    array_like = structs[0].__struct_config__.array_like
    rows = structs if array_like else [msgspec.structs.astuple(struct) for struct in structs]
    return [line[1:-1] for line in _ENCODER.encode_lines(rows).splitlines()]


def _plain(text: bytes) -> bytes:
    """Return what is inside of JSON's arrays with its control characters as they are."""
    return _ESCAPED.sub(_unescaped, text) if b"\\" in text else text


def _unescaped(found: re.Match[bytes]) -> bytes:
    """Return a control character for its name in JSON; an escaped quote or backslash stays."""
    escaped = found[0]
    return escaped if escaped in _KEPT else msgspec.json.decode(b'"%s"' % escaped).encode()


@functools.cache
def queries(room: str) -> dict[str, str]:
    """Every named query of `room`. Raises ValueError for a name given twice."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / room / "sql").glob("*.sql")):
        _, *parts = _NAME.split(path.read_text(encoding="utf-8"))
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            if name in found:
                raise ValueError(f"{path}: the query name {name!r} is taken already")
            found[name] = text.strip().removesuffix(";")
    return found

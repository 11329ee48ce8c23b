"""Named SQL: `queries("command_side")["lock_head"]` is the text below `-- name: lock_head`.

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
    lines = _ENCODER.encode_lines([msgspec.structs.astuple(struct) for struct in structs])
    rows = lines[1:-2].replace(b"]\n[", b"\n")
    return _ESCAPED.sub(_unescaped, rows) if b"\\" in rows else rows


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

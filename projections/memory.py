"""Rows as this process last stored them, so that it need not read them again.

They are true as long as nobody else has moved the checkpoint, whose lock guards them. `mark` is its
row's xmin: the transaction that wrote it last. Whoever mends guarded rows by other ways updates the
checkpoint, too, and everybody reads again. A memory goes with its connection: a server that crashed
may have forgotten the transaction, and give its number again.
"""

from typing import Generic, TypeVar

ROWS_MAX = 100_000
UNMARKED = -1

Row = TypeVar("Row")
Key = tuple[str, str]


class Memory(Generic[Row]):
    """What one process remembers. Bounded: when it has grown beyond ROWS_MAX it starts anew."""

    def __init__(self) -> None:
        self._mark = UNMARKED
        self._rows: dict[Key, Row] = {}

    def lend(self, mark: int) -> dict[Key, Row]:
        """Return all that is known if `mark` is the last one kept: it may be changed, then kept.

        Nothing is known any more until `keep`: a transaction that fails may have changed the rows.
        """
        if mark != self._mark:
            self._rows = {}
        self._mark = UNMARKED
        return self._rows

    def keep(self, mark: int, rows: dict[Key, Row]) -> None:
        """Remember `rows`, which were committed together with the checkpoint's `mark`."""
        self._rows.update(rows)
        if len(self._rows) > ROWS_MAX:
            self._rows = {}
        self._mark = mark

"""Rows as this process last stored them, so that it need not read them again.

The checkpoint's lock guards the rows: they are true as long as no other process has moved the
checkpoint. `mark` is the `xmin` of the checkpoint's row: the transaction that wrote it last.
A program that changes guarded rows in any other way (a repair, a rebuild) updates the checkpoint,
too, and then every process reads its rows again. A memory belongs to one connection, because a
server that crashed may forget a transaction and use its number again.
"""

from typing import Generic, TypeVar

ROWS_MAX = 100_000
UNMARKED = -1

Row = TypeVar("Row")
Key = tuple[str, str]


class Memory(Generic[Row]):
    """What one process remembers: at most ROWS_MAX rows. When it holds more, it forgets all."""

    def __init__(self) -> None:
        self._mark = UNMARKED
        self._rows: dict[Key, Row] = {}

    def lend(self, mark: int) -> dict[Key, Row]:
        """Return the rows that were kept with `mark`, or none. The caller may change them.

        The memory is empty until the next `keep`, because a transaction that fails may have changed
        the rows.
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

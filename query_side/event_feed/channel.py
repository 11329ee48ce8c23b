"""The latest events and discrepancies of a ledger, for all clients that follow it; bounded."""

import asyncio
from collections import deque

from runtime.sql import Row

ROWS_MAX = 1_000
BYTES_MAX = 1_048_576


class Recent:
    """The latest rows: all those in (since, until]. `key` is the column that numbers them."""

    def __init__(self, key: str, *texts: str) -> None:
        self.since = self.until = 0
        self._key = key
        self._texts = texts
        self._rows: deque[Row] = deque()
        self._bytes = 0

    def begin(self, at: int) -> None:
        """Forget all rows, and hold only those after `at`."""
        self._rows.clear()
        self._bytes = 0
        self.since = self.until = at

    def add(self, rows: list[Row], until: int) -> None:
        """Add the rows that follow; drop the oldest ones where a bound is exceeded."""
        self.until = until
        self._rows.extend(rows)
        self._bytes += sum(map(self._size, rows))
        while len(self._rows) > ROWS_MAX or self._bytes > BYTES_MAX:
            dropped = self._rows.popleft()
            self._bytes -= self._size(dropped)
            self.since = dropped[self._key]

    def after(self, key: int) -> list[Row]:
        """Return the rows after `key`, which is not before `since`."""
        return [row for row in self._rows if row[self._key] > key]

    def _size(self, row: Row) -> int:
        return sum(len(row[text]) for text in self._texts)


class Channel:
    """The latest events and the latest discrepancies of one ledger."""

    def __init__(self) -> None:
        self.begun = False
        self.events = Recent("notification_id", "state")
        self.discrepancies = Recent("id", "expected", "actual", "explanation")
        self.clients = 0
        self.moved = asyncio.Event()

    def begin(self, position: int, discrepancy_id: int) -> None:
        """Hold only what comes after a position and a discrepancy."""
        self.events.begin(position)
        self.discrepancies.begin(discrepancy_id)
        self.begun = True
        self.wake()

    def add_events(self, rows: list[Row], until: int) -> None:
        """Add the events that follow."""
        self.events.add(rows, until)
        if rows:
            self.wake()

    def add_discrepancies(self, rows: list[Row], until: int) -> None:
        """Add the discrepancies that follow."""
        self.discrepancies.add(rows, until)
        if rows:
            self.wake()

    def wake(self) -> None:
        """Wake every client that waits."""
        self.moved.set()
        self.moved = asyncio.Event()

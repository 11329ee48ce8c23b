"""The rows of the log for a verification, a page at a time, with their leaf hashes."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from events import log
from runtime.database import Connection
from runtime.sql import Row
from sealing import findings, leaves
from sealing.findings import Findings
from sealing.merkle import HASH_BYTES

# Whole tiles of level 0: 16 of them.
PAGE_EVENTS_MAX = 4_096
NO_HASH = bytes(HASH_BYTES)


class Timed(msgspec.Struct):
    """The one thing that is read of a state; the log may hold other programs' events."""

    recorded_at: datetime | None = None


_TIMED = msgspec.json.Decoder(Timed)


class HashedPage(NamedTuple):
    """The rows after position `start`, one for each position, and their leaf hashes.

    Of a position without a row, the row is None and the hash is all zeros.
    """

    start: int
    rows: Sequence[Row | None]
    hashes: list[bytes]

    @property
    def end(self) -> int:
        """Return the last position of the page."""
        return self.start + len(self.hashes)


class LogReader:
    """Reads the log from its beginning, and looks whether recorded times go backwards."""

    def __init__(self, connection: Connection, found: Findings, secret: bytes) -> None:
        self._connection = connection
        self._found = found
        self._secret = secret
        self._last_at: datetime | None = None

    async def pages(self, end: int, sealed: int) -> AsyncIterator[HashedPage]:
        """Yield pages up to position `end`. After the sealed ones, a gap ends them."""
        start = 0
        while start < end:
            stop = min(start + PAGE_EVENTS_MAX, end)
            rows = await log.rows_after(self._connection, start, PAGE_EVENTS_MAX, stop)
            if not rows and start >= sealed:
                # However far away the next event is, nothing tells what was between.
                self._found.add(findings.gap(start + 1, end - 1))
                return
            self._check_times(rows)
            yield self._page(rows, start, stop)
            start = stop

    def _page(self, rows: Sequence[Row], start: int, stop: int) -> HashedPage:
        hashes = leaves.leaf_hashes(rows, self._secret)
        if len(rows) == stop - start:
            return HashedPage(start, rows, hashes)
        there = {row["notification_id"]: row for row in rows}
        known = iter(hashes)
        every = [there.get(position) for position in range(start + 1, stop + 1)]
        return HashedPage(start, every, [NO_HASH if row is None else next(known) for row in every])

    def _check_times(self, rows: Sequence[Row]) -> None:
        for row in rows:
            try:
                at = _TIMED.decode(row["state"]).recorded_at
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if at is None:
                continue
            if self._last_at is not None and at < self._last_at:
                self._found.add(findings.time_reversed(row["notification_id"], at, self._last_at))
            self._last_at = at

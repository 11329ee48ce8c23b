"""The log as a repair reads it: each event is compared with its seal and its stream, then replayed.

The first event that is not as it was sealed is an obstacle. After it, no other event is compared
with its seal.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from auditing.repair import plan as plans
from auditing.repair.plan import Obstacle
from events import codec, log
from events.types import (
    AccountChanged,
    AccountOpened,
    BooksClosed,
    Recorded,
    account_stream_id,
    books_stream_id,
    transaction_id,
)
from runtime.database import Executor
from runtime.sql import Row
from sealing import check_event
from sealing.check_event import Seal, SealError


class CheckedLog:
    """Reads the log on `connection`, and calls `report` with every obstacle to a repair."""

    def __init__(self, connection: Executor, report: Callable[[Obstacle], None]) -> None:
        self._connection = connection
        self._report = report
        # None as long as there is no seal to compare with, and after the first broken event.
        self._seal: Seal | None = None
        self._last_at = datetime.min.replace(tzinfo=UTC)

    async def begin(self, head: int) -> None:
        """Open the seal, in the snapshot in which the log ends at `head`."""
        try:
            self._seal = await check_event.opened(self._connection)
        except SealError as error:
            self._report(plans.unprovable(str(error)))
            return
        if head < self._seal.size:
            self._broken(head + 1)

    async def pages(
        self, after: int, until: int, mentioning: str | None = None
    ) -> AsyncIterator[list[Recorded]]:
        """Yield the events in (after, until], as `log.pages` does. Raises UnreadableEventError."""
        async for rows in log.stored_pages(self._connection, after, until, mentioning):
            await self._compare(rows)
            page = [codec.recorded(row) for row in rows]
            self._check(page)
            yield page

    async def compare_at(self, positions: Iterable[int]) -> None:
        """Compare single events with the seal: those that the differing rows of an account are of.

        An event that was edited until it does not mention the account is in no page of it.
        """
        if self._seal is None:
            return
        size = self._seal.size
        within = sorted({position for position in positions if 1 <= position <= size})
        for first in range(0, len(within), log.PAGE_EVENTS_MAX):
            chosen = within[first : first + log.PAGE_EVENTS_MAX]
            rows = await log.rows_at(self._connection, chosen)
            gone = set(chosen) - {row["notification_id"] for row in rows}
            if gone:
                self._broken(min(gone))
                return
            await self._compare(rows)

    def _check(self, page: Sequence[Recorded]) -> None:
        """Report events of a wrong stream, and times that go backwards."""
        for recorded in page:
            event = recorded.event
            if recorded.originator_id != _stream_id(recorded):
                self._report(plans.misplaced(recorded.position, event.ledger))
            if event.recorded_at < self._last_at:
                self._report(plans.time_reversed(recorded.position, event.ledger))
            self._last_at = event.recorded_at

    async def _compare(self, rows: Sequence[Row]) -> None:
        if self._seal is not None and (position := await self._seal.broken(rows)) is not None:
            self._broken(position)

    def _broken(self, position: int) -> None:
        self._report(plans.unsealed(position))
        self._seal = None


def _stream_id(recorded: Recorded) -> UUID:
    """Return the id of the stream that an event's own content gives it."""
    event = recorded.event
    match event:
        case AccountOpened() | AccountChanged():
            return account_stream_id(event.ledger, event.account_id)
        case BooksClosed():
            return books_stream_id(event.ledger)
        case _:
            return transaction_id(event.ledger, event.key)

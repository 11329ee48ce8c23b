"""The log as a repair reads it: each event is compared with what was sealed of it, then folded.

The first one that is not as it was sealed is an obstacle; after it there is nothing left to prove.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from auditing.repair import plan as plans
from auditing.repair.plan import Obstacle
from events import codec, log
from events.types import Recorded
from runtime.database import Executor
from runtime.sql import Row
from sealing import check_event
from sealing.check_event import Seal, SealError


class Proof:
    """Reads the log on `connection`, and tells `in_the_way` what first contradicts the seal."""

    def __init__(self, connection: Executor, in_the_way: Callable[[Obstacle], None]) -> None:
        self._connection = connection
        self._in_the_way = in_the_way
        # None where there is nothing to ask (any more).
        self._seal: Seal | None = None

    async def begin(self, head: int) -> None:
        """Open the seal, in the snapshot in which the log ends at `head`."""
        try:
            self._seal = await check_event.opened(self._connection)
        except SealError as error:
            self._in_the_way(plans.unprovable(str(error)))
            return
        if head < self._seal.size:
            self._broken(head + 1)

    async def pages(
        self, after: int, until: int, mentioning: str | None = None
    ) -> AsyncIterator[list[Recorded]]:
        """Yield the events in (after, until], as `log.pages` does. Raises UnreadableEventError."""
        async for rows in log.stored_pages(self._connection, after, until, mentioning):
            await self._compare(rows)
            yield [codec.recorded(row) for row in rows]

    async def look_at(self, positions: Iterable[int]) -> None:
        """Compare single events, too: those that the rows of an account which differ came from.

        One that was edited until it does not mention the account is in no page of it.
        """
        if self._seal is None:
            return
        size = self._seal.size
        within = sorted({position for position in positions if 1 <= position <= size})
        for first in range(0, len(within), log.PAGE_EVENTS_MAX):
            wanted = within[first : first + log.PAGE_EVENTS_MAX]
            rows = await log.rows_at(self._connection, wanted)
            gone = set(wanted) - {row["notification_id"] for row in rows}
            if gone:
                self._broken(min(gone))
                return
            await self._compare(rows)

    async def _compare(self, rows: Sequence[Row]) -> None:
        if self._seal is not None and (position := await self._seal.broken(rows)) is not None:
            self._broken(position)

    def _broken(self, position: int) -> None:
        self._in_the_way(plans.unsealed(position))
        self._seal = None

"""Open a log, and ask what it says: the I/O around the pure folds in this folder."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import datetime

from auditing.explain.difference import Comparing, Difference
from auditing.explain.explanation import Explaining, Explanation
from auditing.explain.story import Step, Story
from auditing.explain.trial_balance import TrialBalance, trial_balance
from auditing.replay import ReplayedState
from auditing.roles import AUDITOR
from events import codec, ledger_log, log
from events import schema as schemas
from events.event_filter import EventFilter
from events.schema import Schema
from events.types import AccountOpened, Recorded, account_stream_id
from runtime import database
from runtime.problems import Invalid, NotFound

PAGE_EVENTS_MAX = 5_000
CONTRIBUTIONS_MAX = 1_000

# A point in the log: a position, a time (everything recorded before it), or None: the end.
Point = int | datetime | None
# Called with the number of positions read so far, and the number to read.
Progress = Callable[[int, int], None]


@asynccontextmanager
async def open_log(url: str, schema_file: str | None = None) -> AsyncIterator["Replay"]:
    """Open the log in the PostgreSQL database at `url`, to read it only.

    Sentences write amounts with the decimals of the accounting schema.

    Raises SchemaError, Unavailable.
    """
    schema = schemas.load(schema_file)
    connection = await database.connect(url, AUDITOR)
    try:
        yield Replay(connection, schema)
    finally:
        await connection.close()


class Replay:
    """A log that is replayed from its beginning for every question.

    Nothing is locked and no transaction is held open, because recorded events never change. Memory
    is bounded by a page of events and the answer, not by the log. It uses one connection, so ask
    one question at a time.
    """

    def __init__(self, connection: database.Connection, schema: Schema) -> None:
        self.schema = schema
        self._connection = connection

    async def head(self) -> int:
        """Return the last position of the log; 0 if it is empty."""
        return (await log.head(self._connection)).position

    async def position(self, point: Point) -> int:
        """Return the position of a point. A time includes everything recorded before it.

        Raises Invalid for a position beyond the log.
        """
        if isinstance(point, datetime):
            return await ledger_log.position_before(self._connection, point)
        head = await self.head()
        if point is not None and not 0 <= point <= head:
            raise Invalid("position_invalid", f"The log has positions up to {head}, not {point}.")
        return head if point is None else point

    async def currency(self, ledger: str, account_id: str, at: int = log.NO_END) -> str:
        """Return an account's currency. Raises NotFound if there is no such account at `at`."""
        stream_id = account_stream_id(ledger, account_id)
        opened = (await log.find(self._connection, [stream_id])).get(stream_id)
        if opened is None or opened.position > at or not isinstance(opened.event, AccountOpened):
            detail = f"The log has no account {account_id!r} in ledger {ledger!r}, or not by then."
            raise NotFound("account_not_found", detail)
        return opened.event.currency

    async def events(
        self,
        *,
        ledger: str | None = None,
        account_id: str | None = None,
        after: Point = 0,
        until: Point = None,
        progress: Progress | None = None,
    ) -> AsyncIterator[Recorded]:
        """Yield the events after one point and up to another, in the order of the log.

        Only those of a ledger, or of one of its accounts, if they are named. Raises Invalid.
        """
        first, last = await self.position(after), await self.position(until)
        async with aclosing(self._pages(ledger, account_id, first, last)) as pages:
            async for page, edge in pages:
                for recorded in page:
                    yield recorded
                if progress is not None:
                    progress(edge - first, last - first)

    async def trial_balance(
        self,
        at: Point = None,
        *,
        ledger: str | None = None,
        progress: Progress | None = None,
    ) -> TrialBalance:
        """Return every account's counters at a point, and their sums. Raises Invalid."""
        last, state = await self.position(at), ReplayedState()
        async for recorded in self.events(ledger=ledger, until=last, progress=progress):
            state.fold(recorded)
            # States of transactions are no part of the answer, and would grow with the log.
            state.transaction_states.clear()
        return trial_balance(last, state.accounts)

    async def story(
        self,
        ledger: str,
        account_id: str,
        *,
        until: Point = None,
        progress: Progress | None = None,
    ) -> AsyncIterator[Step]:
        """Yield every event that moved, changed or named an account, oldest first.

        Raises Invalid, and NotFound for an account that the log does not know.
        """
        await self.currency(ledger, account_id)
        story = Story(ledger, account_id, self.schema.decimals)
        async for recorded in self.events(
            ledger=ledger, account_id=account_id, until=until, progress=progress
        ):
            yield story.take(recorded)

    async def explain(
        self,
        ledger: str,
        account_id: str,
        *,
        at: Point = None,
        newest_first: bool = True,
        kept_max: int = CONTRIBUTIONS_MAX,
        progress: Progress | None = None,
    ) -> Explanation:
        """Return which events made an account's balance, at most `kept_max` of them one by one.

        Raises Invalid, and NotFound for an account that the log does not know at that point.
        """
        last = await self.position(at)
        await self.currency(ledger, account_id, last)
        story = Story(ledger, account_id, self.schema.decimals)
        explaining = Explaining(kept_max, newest_first=newest_first)
        async for recorded in self.events(
            ledger=ledger, account_id=account_id, until=last, progress=progress
        ):
            explaining.take(story.take(recorded), recorded.event)
        assert story.account is not None, "an account is opened by its stream's first event"
        return explaining.explanation(ledger, account_id, last, story.account)

    async def difference(
        self,
        first: Point,
        second: Point = None,
        *,
        ledger: str | None = None,
        progress: Progress | None = None,
    ) -> Difference:
        """Return what differs between two points, and the events between them. Raises Invalid."""
        low, high = await self.position(first), await self.position(second)
        if low > high:
            raise Invalid("position_invalid", f"{low} is after {high}: give the earlier one first.")
        comparing = Comparing()
        async for recorded in self.events(ledger=ledger, until=high, progress=progress):
            if recorded.position <= low:
                comparing.pass_by(recorded)
            else:
                comparing.take(recorded)
        begun = await log.find(self._connection, comparing.changed_transactions())
        return comparing.difference(
            low, high, {id_: recorded.position for id_, recorded in begun.items()}
        )

    async def _pages(
        self, ledger: str | None, account_id: str | None, after: int, until: int
    ) -> AsyncGenerator[tuple[list[Recorded], int], None]:
        """Yield pages of events, each with the position up to which the log was searched."""
        if ledger is None:
            if account_id is not None:
                raise Invalid("ledger_missing", "An account is in a ledger: name it.")
            async for page in log.pages(self._connection, after, until):
                yield page, page[-1].position
            return
        wants = EventFilter(ledger, account_id=account_id)
        edge = after
        while edge < until:
            found = await ledger_log.look(self._connection, wants, edge, until, PAGE_EVENTS_MAX)
            edge = found.edge
            yield [codec.recorded(row) for row in found.rows], edge

"""Find every row that a repair must change: the differences of one walk, as changes, in a snapshot.

The walk compares the same views as a reconciliation (`auditing/difference_walker.py`). A survey
keeps whole rows instead of sentences, and the replayed state, to continue once the views are
locked. Every event is checked before it is replayed (`checked_log.py`).
"""

import copy
from collections.abc import Mapping
from typing import Any

import msgspec

from auditing import view_catalog
from auditing.difference_walker import DifferenceWalker
from auditing.differences import Difference, Gap, RowDifference, Scope
from auditing.pages import Progress, reported
from auditing.repair import plan as plans
from auditing.repair.checked_log import CheckedLog
from auditing.repair.plan import ROWS_MAX, Change, Obstacle, Plan, RowSelection
from auditing.replay import ReplayedState
from auditing.view_catalog import Journal, Register
from events import checkpoints, log
from events.codec import UnreadableEventError
from runtime.database import Executor

OBSTACLES_MAX = 100
VIEWS: Mapping[str, Journal | Register] = {
    view.table: view
    for view in (*view_catalog.JOURNALS, *view_catalog.READ_SIDE, *view_catalog.COMMAND_SIDE)
}
JOURNALS = {view.table for view in view_catalog.JOURNALS}
READ_REGISTERS = {view.table for view in view_catalog.READ_SIDE}
COMMAND_SIDE = {view.table for view in view_catalog.COMMAND_SIDE}


class Survey:
    """The changes and obstacles that were found, and the replayed state to continue with.

    The state of the walker is as of `head`. `read_state` has what the log says, as of
    `checkpoint`, of the differing rows in the registers of the read side.
    """

    def __init__(self, connection: Executor, selection: RowSelection) -> None:
        self.connection = connection
        self.selection = selection
        scope = Scope(ledger=selection.ledger, account_id=selection.account_id)
        # A ledger's repair replays its own events only, so its pages are compared row by row.
        self.walker = DifferenceWalker(scope, as_text=selection.ledger is None)
        self.read_state = ReplayedState(only=scope.account)
        self.checkpoint = self.head = self.row_count = 0
        self.log = CheckedLog(connection, self._add_obstacle)
        self._changes: list[Change] = []
        self._obstacles: list[Obstacle] = []
        self._half: dict[tuple[Any, ...], RowDifference] = {}

    @property
    def plan(self) -> Plan:
        """Return the chosen changes, and the obstacles."""
        obstacles = self._obstacles + plans.contradictions(self._changes)
        chosen = [change for change in self._changes if self.selection.includes(change)]
        whole = self.row_count <= ROWS_MAX
        return Plan(
            selection=self.selection,
            checkpoint=self.checkpoint,
            head=self.head,
            row_count=len(chosen) if whole else self.row_count,
            changes=chosen,
            obstacles=obstacles[:OBSTACLES_MAX],
        )

    @property
    def positions(self) -> set[int]:
        """Return the positions of the changes that are kept."""
        return {change.position for change in self._changes}

    def add(self, difference: Difference) -> None:
        """Add a difference: a gap is an obstacle, and any other one a change."""
        if isinstance(difference, Gap):
            self._add_obstacle(plans.gap(difference.after, difference.found))
        elif isinstance(difference.view, Journal):
            self._add_row(difference)
        elif self._add_change(difference) and difference.view.table in READ_REGISTERS:
            self._hold(difference.view, difference.key)

    def unreadable(self, problem: str) -> None:
        """Note that the log cannot be read any further."""
        self._add_obstacle(plans.unreadable(problem))

    def _add_row(self, difference: RowDifference) -> None:
        """Add a row of a journal. One that stands at another position is met twice, by one key.

        There it was unexpected, and here it is missing: together they are one row that differs.
        """
        name = (difference.view.table, *difference.key)
        earlier = self._half.pop(name, None)
        if earlier is not None:
            self._changes.remove(change_of(earlier))
            self.row_count -= 1
            expected = difference.expected or earlier.expected
            assert expected is not None
            difference = msgspec.structs.replace(
                difference,
                expected=expected,
                actual=difference.actual or earlier.actual,
                position=expected["position"],
            )
        half = difference.expected is None or difference.actual is None
        if self._add_change(difference) and half:
            self._half[name] = difference

    def _add_change(self, difference: RowDifference) -> bool:
        """Count a change, and keep it if there is room; return whether there was."""
        self.row_count += 1
        if len(self._changes) >= ROWS_MAX:
            return False
        self._changes.append(change_of(difference))
        return True

    def _hold(self, view: Register, key: Any) -> None:  # noqa: ANN401 - the key of a register
        """Keep what the log says of a row as of the checkpoint; the walker goes on to the head."""
        replayed = view.replayed(self.walker.state)
        if key in replayed:
            held: Any = view.replayed(self.read_state)
            held[key] = copy.deepcopy(replayed[key])

    def _add_obstacle(self, obstacle: Obstacle) -> None:
        of_scope = obstacle.ledger is None or self.walker.scope.includes(obstacle.ledger)
        if len(self._obstacles) < OBSTACLES_MAX and of_scope:
            self._obstacles.append(obstacle)


def change_of(difference: RowDifference) -> Change:
    """Return how a row that differs is repaired."""
    return Change(
        table=difference.view.table,
        kind=difference.kind,
        position=difference.position,
        key=difference.view.named(difference.key),
        before=difference.actual,
        after=difference.expected,
        exact=isinstance(difference.view, Journal),
    )


async def survey(
    connection: Executor, selection: RowSelection, progress: Progress | None = None
) -> Survey:
    """Compare the selected rows with the log, in one snapshot; nothing is locked."""
    found = Survey(connection, selection)
    walker = found.walker
    report = progress or (lambda _position, _until: None)
    await walker.prepare(connection)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found.checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
        head = await log.head(connection)
        found.head = head.position
        await found.log.begin(found.head)
        try:
            events = found.log.pages(0, found.checkpoint, selection.account_id)
            pages = reported(events, report, found.head)
            async for difference in walker.read_side(connection, pages, found.checkpoint):
                found.add(difference)
            events = found.log.pages(found.checkpoint, found.head, selection.account_id)
            pages = reported(events, report, found.head)
            async for difference in walker.command_side(connection, pages, head):
                found.add(difference)
            if selection.account_id is not None:
                await found.log.compare_at(found.positions)
        except UnreadableEventError as error:
            found.unreadable(str(error))
    return found

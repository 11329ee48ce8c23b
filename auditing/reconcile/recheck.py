"""Compare the journals again, a page in each round, to find rows that changed after verification.

What a row must be follows from all events up to it, so the recheck is a walk of its own. When it
arrives where the continuous reconciliation is, a new one begins.
"""

from collections.abc import Iterable

from auditing.difference_walker import DifferenceWalker
from auditing.discrepancies import Discrepancy
from auditing.reconcile.run import Name, Run, described
from auditing.view_catalog import RECORDED_TIMES
from events import log
from runtime.database import Executor

PAGE_EVENTS_MAX = 500
JOURNAL = "journal"


async def compare_next(connection: Executor, run: Run) -> tuple[set[Name], dict[Name, Discrepancy]]:
    """Compare the next page of what `run` has verified.

    Return the known names that were compared again, and what differs now. The caller is in a
    snapshot in which the read models are at the position of `run`.
    """
    until = run.walker.position
    walker = run.recheck or DifferenceWalker(run.walker.scope)
    after, settled = walker.position, walker.settled
    if page := await log.read_after(connection, after, PAGE_EVENTS_MAX, until):
        _, differences = await walker.compare_page(connection, page)
    else:
        differences = walker.end_log(until)
    # A recheck that followed the newest events would never come back to the old ones.
    run.recheck = walker if walker.position < until else None

    def passed(view: str, position: int) -> bool:
        if view == RECORDED_TIMES.table:
            return settled < position <= walker.settled
        return after < position <= walker.position

    compared = {name for name in run.known if name[0] == JOURNAL and passed(name[1], int(name[2]))}
    return compared, named(map(described, differences))


def named(found: Iterable[Discrepancy]) -> dict[Name, Discrepancy]:
    """Return discrepancies of journals by names that stay equal when they are found again."""
    return {
        (
            *(JOURNAL, each.view or "", str(each.position), each.kind),
            *(each.ledger or "", each.account_id or "", str(each.transaction_id or "")),
        ): each
        for each in found
    }

"""The journals again, a page a round: what was changed after it was verified is found in its turn.

What a row must be follows from all events up to it, so the patrol is a run of its own, with books
as of where it is. Where the continuous reconciliation is, it ends, and begins anew.
"""

from collections.abc import Iterable

from auditing import discrepancies
from auditing.discrepancies import Discrepancy, Findings
from auditing.reconcile.compare import Run
from auditing.reconcile.reconcile import compare_page
from auditing.replay import Books
from auditing.view_catalog import MOMENTS
from events import log
from runtime.database import Executor

PAGE_EVENTS_MAX = 500
JOURNAL = "journal"

Name = tuple[str, ...]


async def walk(connection: Executor, run: Run) -> tuple[set[Name], dict[Name, Discrepancy]]:
    """Compare the next page of what `run` has verified; where it ends, begin anew.

    Return what is known to differ and was looked at, and what differs now. Whoever calls is in a
    snapshot in which the read models are at `run.position`.
    """
    patrol = run.patrol or Run(run.scope, Books())
    after, settled = patrol.position, patrol.settled
    if page := await log.read_after(connection, after, PAGE_EVENTS_MAX, run.position):
        await compare_page(patrol, connection, page)
    elif after < run.position:
        patrol.findings.add(discrepancies.gap(after, run.position + 1))
        patrol.position = run.position
    # Who only followed the newest events would never come to the old ones again.
    run.patrol = patrol if patrol.position < run.position else None
    found = named(patrol.findings.kept)
    patrol.findings = Findings(run.scope.ledger)

    def passed(view: str, position: int) -> bool:
        if view == MOMENTS.table:
            return settled < position <= patrol.settled
        return after < position <= patrol.position

    looked_at = {name for name in run.known if name[0] == JOURNAL and passed(name[1], int(name[2]))}
    return looked_at, found


def named(found: Iterable[Discrepancy]) -> dict[Name, Discrepancy]:
    """Return what differs in journals, by names that are the same when it is found again."""
    return {
        (
            *(JOURNAL, each.view or "", str(each.position), each.kind),
            *(each.ledger or "", each.account_id or "", str(each.transaction_id or "")),
        ): each
        for each in found
    }

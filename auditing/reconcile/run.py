"""One reconciliation under way: its walk, and the discrepancies that it has found so far."""

from collections.abc import Iterable

from auditing import discrepancies
from auditing.difference_walker import DifferenceWalker
from auditing.differences import Difference, Gap, Scope
from auditing.discrepancies import Discrepancy, Findings
from auditing.view_catalog import BALANCES, COMMAND_ACCOUNTS, ENTRIES

Name = tuple[str, ...]


class Run:
    """A walk in a scope, with its findings.

    The continuous reconciliation, which never ends, also has names of rows that are `known` to
    differ and were reported, and a second walk that rechecks what was verified before.
    """

    def __init__(self, scope: Scope) -> None:
        self.walker = DifferenceWalker(scope)
        self.findings = Findings()
        self.known: set[Name] = set()
        self.recheck: DifferenceWalker | None = None

    @property
    def entries_compared(self) -> int:
        """Return how many entries were compared."""
        return self.walker.rows_compared.get(ENTRIES.table, 0)

    @property
    def balances_compared(self) -> int:
        """Return how many rows with balances were compared, of both sides."""
        compared = self.walker.rows_compared
        return sum(compared.get(view.table, 0) for view in (BALANCES, COMMAND_ACCOUNTS))

    def add(self, differences: Iterable[Difference]) -> None:
        """Add differences to the findings."""
        for difference in differences:
            self.findings.add(described(difference))


def described(difference: Difference) -> Discrepancy:
    """Return a difference as a discrepancy, with its sentence."""
    if isinstance(difference, Gap):
        return discrepancies.gap(difference.after, difference.found)
    return discrepancies.of_row(
        difference.kind,
        view=difference.view.table,
        title=difference.view.title,
        position=difference.position,
        ledger=difference.ledger,
        expected=difference.expected,
        actual=difference.actual,
    )

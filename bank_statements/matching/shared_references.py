"""Which lines and entries are connected by references. Pure."""

from collections import defaultdict

from bank_statements.matching.types import MatchableEntry
from bank_statements.matching.unmatched import Unmatched
from bank_statements.statement import StatementLine, key


def sharing(left: Unmatched) -> list[tuple[str, list[StatementLine], list[MatchableEntry]]]:
    """Return what is connected by references on both sides, each with a reference of it."""
    leader: dict[str, str] = {}

    def led(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    ours = {
        entry[:2]: [known for text in entry.references if (known := key(text))]
        for entry in left.entries.values()
    }
    # A reference of one side only connects nothing.
    both = {known for names in ours.values() for known in names}
    theirs = {
        line.number: [known for text in line.references if (known := key(text)) in both]
        for line in left.lines.values()
    }
    both &= {known for names in theirs.values() for known in names}
    for names in (*theirs.values(), *ours.values()):
        shared = [name for name in names if name in both]
        for name in shared:
            leader.setdefault(name, name)
            leader[led(name)] = led(shared[0])
    groups: dict[str, tuple[list[StatementLine], list[MatchableEntry]]] = defaultdict(
        lambda: ([], [])
    )
    for line in left.lines.values():
        for name in theirs[line.number][:1]:
            groups[led(name)][0].append(line)
    for place, entry in left.entries.items():
        for name in [name for name in ours[place] if name in both][:1]:
            groups[led(name)][1].append(entry)
    shown = {key(t): t for line in left.lines.values() for t in line.references}
    return [(shown.get(name, name), lines, entries) for name, (lines, entries) in groups.items()]


def shared_reference(line: StatementLine, entry: MatchableEntry) -> str | None:
    """Return a reference that both have, as the statement writes it."""
    known = {key(text) for text in entry.references}
    return next((text for text in line.references if key(text) in known), None)

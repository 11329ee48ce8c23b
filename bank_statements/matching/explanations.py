"""Parts of the sentences that explain a match. Pure."""

from collections.abc import Sequence

from bank_statements.matching.types import MatchableEntry
from bank_statements.statement import StatementLine


def days_apart_text(days: int) -> str:
    """Return how many days two movements are apart."""
    return "the same day" if days == 0 else f"{days} day{'s' if days > 1 else ''} apart"


def within_text(days: int) -> str:
    """Return within how many days some movements are."""
    return "all on one day" if days == 0 else f"all within {days} day{'s' if days > 1 else ''}"


def counted_text(lines: Sequence[StatementLine], entries: Sequence[MatchableEntry]) -> str:
    """Return how many lines and entries there are."""
    return (
        f"{len(lines)} line{'s' if len(lines) > 1 else ''} and "
        f"{len(entries)} entr{'ies' if len(entries) > 1 else 'y'}"
    )

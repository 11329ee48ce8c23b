"""What an API process serves; known by name before anything that serves is imported."""

from enum import StrEnum


class Side(StrEnum):
    """Which side of the ledger a process serves."""

    COMMAND = "command"
    QUERY = "query"
    ALL = "all"

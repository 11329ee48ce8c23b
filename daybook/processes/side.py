"""The sides that an API process can serve; importing this module imports no server."""

from enum import StrEnum


class ServedSide(StrEnum):
    """Which side of the ledger a process serves."""

    COMMAND = "command"
    QUERY = "query"
    ALL = "all"

"""Under a flood: whose request it is, and whether there is room for it, from its head alone.

That is asked of single submissions by somebody known, which most of a flood is made of. Everything
else asks for room in its route, and so does what was let in here, once more.
"""

from collections.abc import Sequence

from command_side.writer import Writer
from events import access
from runtime.auth import Tokens
from runtime.connection import Turns
from runtime.problems import Problem

SUBMIT = (b"POST", b"/api/v1/transactions")
NOBODY = ""


class Admission:
    """The doorkeeper of the command side."""

    def __init__(self, tokens: Tokens, writer: Writer, turns: Turns) -> None:
        self._tokens = tokens
        self._writer = writer
        self._turns = turns

    def ask(
        self, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> str | Problem:
        """Return the ledger of a submission, or why it isn't let in; NOBODY for all else."""
        if (method, target) != SUBMIT:
            return NOBODY
        named = {name.decode("latin-1"): text.decode("latin-1") for name, text in headers}
        principal = self._tokens.remembered(named.get("authorization"))
        if principal is None:
            return NOBODY
        try:
            ledger = access.of(principal, named, "write").ledger
        except Problem as problem:
            return problem
        return self._writer.no_room(ledger, self._turns.waiting(ledger)) or ledger

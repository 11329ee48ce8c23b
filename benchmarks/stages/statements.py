"""Which stage of a transfer a statement belongs to: by the role that sends it, and its text.

Statements are recognised by the product's own queries. What the server shows of one may differ in
its constants (pg_stat_statements shows parameters instead), which are therefore left out of it.
"""

import re

from command_side import relay
from command_side.writer import store, writer
from events import log
from projections import catch_up, worker

OTHER = "other statements"

_COMMENT = re.compile(r"--.*")
_CONSTANT = re.compile(r"\$\d+|'[^']*'|\b(?:\d+|NULL)\b")

STATEMENTS: dict[str, dict[str, tuple[str, ...]]] = {
    writer.ROLE: {
        "append: head and known events": (
            "BEGIN",
            log.SQL["lock_head"],
            log.SQL["find"],
        ),
        "append: insert": (log.SQL["append"],),
        "append: accounts": (
            store.SQL["accounts"],
            store.SQL["put_accounts"],
            store.SQL["move_accounts"],
        ),
        "append: commit": ("COMMIT",),
    },
    relay.ROLE: {
        "relay: reading the log": (log.SQL["read_after"],),
        "relay: checkpoint and commit": (
            "BEGIN",
            log.SQL["try_lock_checkpoint"],
            log.SQL["move_checkpoint"],
            "COMMIT",
        ),
    },
    worker.ROLE: {
        "projector: reading the log": (log.SQL["read_after"],),
        "projector: entries": ('COPY "read"."entries"',),
        "projector: transactions": ('COPY "read"."transactions"',),
        "projector: balances": (catch_up.SQL["balances"], catch_up.SQL["move_balances"]),
        "projector: moments, checkpoint, commit": (
            "BEGIN",
            log.SQL["lock_checkpoint"],
            catch_up.SQL["put_recorded_times"],
            log.SQL["move_checkpoint"],
            "COMMIT",
        ),
    },
}


def stage_of(role: str, text: str) -> str:
    """Return the stage of a statement that `role` sent."""
    return _STAGES.get((role, plain(text)), OTHER)


def plain(text: str) -> str:
    """Return what is the same each time: no comments, constants or line breaks; of COPY no columns.

    The server shows numbers, strings and NULL as parameters; a parameter is one already.
    """
    words = " ".join(_CONSTANT.sub("?", _COMMENT.sub("", text)).split()).removesuffix(";")
    return words.partition("(")[0].strip() if words.startswith("COPY ") else words


_STAGES = {
    (role, plain(text)): stage
    for role, stages in STATEMENTS.items()
    for stage, texts in stages.items()
    for text in texts
}

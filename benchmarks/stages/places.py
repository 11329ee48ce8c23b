"""Which stage of a transfer a place in the code belongs to.

A sample of a process is its stack. The frame nearest to what runs, of those that are named here,
says the stage: what a library does for us belongs to whoever called it, unless the library is a
stage itself. So asyncpg is not named, and redis is.

    events/log.py:append    a function, by its qualified name
    events/codec.py         a file
    litestar/               a folder
"""

import re
from collections.abc import Sequence

import msgspec

LOOP = ("asyncio/runners.py", "uvloop/")
SQS_CLIENT = ("runtime/queue.py", "aiobotocore/", "botocore/", "aiohttp/")
COMMIT = ("asyncpg/transaction.py", "events/checkpoints.py")

PLACES: dict[str, dict[str, tuple[str, ...]]] = {
    "api": {
        "HTTP: event loop, parse, answer": (*LOOP, "uvicorn/"),
        "routing": ("litestar/", "web/direct.py"),
        "auth": ("web/tokens.py", "web/caller.py"),
        "body to command": (
            "web/http.py:read_body",
            "web/http.py:decode",
            "command_side/api/account_requests.py",
            "command_side/api/followup_requests.py",
            "command_side/api/movement_requests.py",
            "command_side/api/values.py",
            "command_side/domain/commands.py",
            "command_side/domain/splits.py",
            "command_side/api/bulk.py:Batch._raws",
            "command_side/api/bulk.py:Batch._command",
            "command_side/api/bulk.py:Batch.chunks",
            "events/money.py",
        ),
        "idempotency": (
            "command_side/writer/idempotency.py",
            "runtime/cache.py",
            "redis/",
            "asyncio/streams.py",
        ),
        "queueing": (
            "command_side/writer/writer.py",
            "command_side/writer/fair_queue.py",
            "command_side/writer/commit_rate.py",
        ),
        "reading state": (
            "events/log.py:lock_head",
            "events/log.py:find",
            "command_side/writer/store.py:load",
            "command_side/writer/account_cache.py",
        ),
        "decide": (
            "command_side/domain/decide.py",
            "command_side/domain/account_rules.py",
            "command_side/domain/checks.py",
            "command_side/domain/followup_rules.py",
            "command_side/domain/movement_rules.py",
            "command_side/domain/records.py",
            "command_side/writer/commit.py",
            "command_side/domain/state.py",
            "command_side/domain/account.py",
        ),
        "encode": ("events/codec.py:encode",),
        "insert": ("events/log.py:append",),
        "storing accounts": (
            "command_side/domain/changes.py",
            "command_side/writer/store.py:put",
            "command_side/writer/account_cache.py:AccountCache.take",
            "command_side/writer/account_cache.py:AccountCache.moved",
            "command_side/writer/account_cache.py:AccountCache.committed",
        ),
        "begin and commit": COMMIT,
        "routes and answers": (
            "command_side/api/routes.py",
            "command_side/api/answers.py",
            "command_side/api/bulk.py",
            "web/http.py",
        ),
    },
    "relay": {
        "event loop, sockets": LOOP,
        "reading the log": ("events/log.py",),
        "envelopes": ("events/envelope.py",),
        "SQS client": SQS_CLIENT,
        "checkpoint and commit": (*COMMIT, "command_side/relay.py"),
    },
    "project": {
        "event loop, sockets": LOOP,
        "SQS client": (*SQS_CLIENT, "projections/worker.py"),
        "reading the log": ("events/log.py", "events/codec.py"),
        "reading balances": (
            "projections/catch_up.py:_accounts",
            "projections/catch_up.py:_balances",
            "projections/catch_up.py:_transaction_states",
            "projections/memory.py",
        ),
        "fold": ("projections/folds/", "projections/catch_up.py:_apply_page"),
        "writing read models": (
            "projections/catch_up.py:_write",
            "projections/catch_up.py:_in_order",
            "runtime/database.py:copy",
            "runtime/sql.py",
        ),
        "checkpoint and commit": (*COMMIT, "projections/catch_up.py:catch_up"),
    },
}

_FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^()]+?)(?::\d+)?\)")
_INNER = ".<locals>"


class Place(msgspec.Struct, frozen=True):
    """A frame of a stack: the qualified name of a function, and its file below what is imported."""

    file: str
    function: str


def frame(text: str) -> Place | None:
    """Return what py-spy writes as `function (file:line)`; None, if it is no such thing.

    What is written within a function belongs to it.
    """
    found = _FRAME.fullmatch(text)
    return Place(found["file"], found["function"].partition(_INNER)[0]) if found else None


def stage_of(process: str, stack: Sequence[str]) -> str | None:
    """Return the stage of a stack, its innermost frame last; None, if no frame is named."""
    known = _STAGES[process]
    for text in reversed(stack):
        place = frame(text)
        if place is None:
            continue
        for name in _names(place):
            if name in known:
                return known[name]
    return None


def _names(place: Place) -> list[str]:
    """Return how a place may be named, the most exact name first."""
    folders = place.file.split("/")[:-1]
    above = ["/".join(folders[:depth]) + "/" for depth in range(len(folders), 0, -1)]
    return [f"{place.file}:{place.function}", place.file, *above]


_STAGES = {
    process: {name: stage for stage, names in stages.items() for name in names}
    for process, stages in PLACES.items()
}

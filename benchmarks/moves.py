"""Count how often one transfer moves from one file of the product to another.

    Writer.submit ─▶ queue ─▶ claim ─▶ decide ─▶ append ─▶ COMMIT ─▶ outcome

Each call and each return of a function of the product counts as a move if its file differs from
the file of the call or return before. Libraries are left out. A coroutine that waits returns, and
is called again when it goes on. The accounts are open and in the cache of the writer, and nothing
else is under way, so that the count is the same on every machine.

    python -m benchmarks.moves
"""

import sys
import sysconfig
from collections.abc import Awaitable
from itertools import pairwise
from pathlib import Path
from types import FrameType

import click
import uvloop

from command_side.domain.commands import Transfer
from command_side.writer.idempotency import Idempotency
from command_side.writer.outcomes import Accepted
from command_side.writer.writer import Writer
from daybook.embedded import up
from daybook.settings import Settings
from events import schema
from events.types import Posting
from runtime.cache import Cache

ROOT = Path(__file__).parent.parent
LEDGER = "demo"
WARM_UP_TRANSFERS = 3
# Calls of functions in C are other events.
EVENTS = {"call", "return"}


class Recorder:
    """Records the file of each call and each return, of functions below `root` only."""

    def __init__(self, root: Path) -> None:
        self._root = f"{root}/"
        self._left_out = (
            __file__,
            # The supervisor of the servers runs on the same event loop.
            str(Path(up.__file__).parent),
            # The virtual environment may be inside the checkout.
            sysconfig.get_path("purelib"),
            sysconfig.get_path("platlib"),
        )
        self.files: list[str] = []

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """Record one event; `sys.setprofile` calls this."""
        path = frame.f_code.co_filename
        if event in EVENTS and path.startswith(self._root) and not path.startswith(self._left_out):
            self.files.append(path.removeprefix(self._root))

    def moves(self) -> list[tuple[str, str]]:
        """Return each change of the file, as the file before and the file after."""
        return [(before, after) for before, after in pairwise(self.files) if before != after]


async def recorded(work: Awaitable[object], root: Path = ROOT) -> Recorder:
    """Return what was recorded while `work` was awaited."""
    recorder = Recorder(root)
    sys.setprofile(recorder)
    try:
        await work
    finally:
        sys.setprofile(None)
    return recorder


async def transfer_moves() -> list[tuple[str, str]]:
    """Return the moves of one transfer, on servers that are started for it."""
    async with up.embedded(Path(), 0, ephemeral=True, programs=()) as service:
        settings = Settings(
            database_url=service.database_url,
            cache_url=service.cache_url,
            queue_url=service.queue_url,
        )
        cache = Cache(settings.cache_url)
        idempotency = Idempotency(cache, settings.result_ttl_s)
        try:
            async with Writer(settings, schema.load(), idempotency).running() as writer:
                for number in range(WARM_UP_TRANSFERS):
                    outcome = await writer.submit(_transfer(number))
                    assert isinstance(outcome, Accepted), outcome
                return (await recorded(writer.submit(_transfer(WARM_UP_TRANSFERS)))).moves()
        finally:
            await cache.close()


def _transfer(number: int) -> Transfer:
    posting = Posting("world", "moves", 1234, "USD")
    return Transfer(ledger=LEDGER, key=f"moves-{number}", postings=(posting,))


@click.command()
def main() -> None:
    """Print each move of one transfer, and how many there are."""
    moves = uvloop.run(transfer_moves())
    for before, after in moves:
        click.echo(f"{before} -> {after}")
    files = {file for move in moves for file in move}
    click.echo(f"{len(moves)} moves between {len(files)} files")


if __name__ == "__main__":
    main()

"""The engine without HTTP: one process appends batches while another projects them.

python -m benchmarks.loads.engine append  DATABASE_URL BEGIN TRANSFERS ACCOUNTS BATCH
python -m benchmarks.loads.engine project DATABASE_URL UNTIL_POSITION
"""

import asyncio
import random
import sys
import time
from datetime import UTC, datetime

import msgspec
import uvloop

from benchmarks.latency import latency
from benchmarks.loads.long_log import LEDGER
from command_side.domain.commands import Transfer
from command_side.writer.account_cache import AccountCache
from command_side.writer.commit import append_batch
from command_side.writer.writer import ROLE as WRITER
from events import checkpoints
from events import schema as schemas
from events.types import Posting
from projections.catch_up import catch_up
from projections.folds.balances import BalanceRow
from projections.memory import Memory
from projections.worker import ROLE as PROJECTOR
from runtime import database
from runtime.loop import collect_garbage_rarely

PAGE_EVENTS_MAX = 2_000
PAUSE_S = 0.005


async def append(url: str, begin: int, transfers: int, accounts: int, batch: int) -> None:
    """Append the transfers numbered from `begin` on, `batch` of them in a transaction."""
    chosen = random.Random(1)
    schema = schemas.load()
    commands = [
        Transfer(
            ledger=LEDGER,
            key=f"engine-{number}",
            postings=(Posting("world", f"account-{chosen.randrange(accounts)}", 1234, "USD"),),
        )
        for number in range(begin, begin + transfers)
    ]
    cache = AccountCache()
    connection = await database.connect(url, WRITER, **database.BY_KEY)
    # Again, so that the collector skips the million commands just prepared.
    collect_garbage_rarely()
    _wait_for_start()
    latencies_s = []
    for first in range(0, transfers, batch):
        began = time.perf_counter()
        await append_batch(
            connection, commands[first : first + batch], schema, datetime.now(UTC), cache
        )
        latencies_s.append(time.perf_counter() - began)
    await connection.close()
    print(msgspec.json.encode(latency(latencies_s)).decode())


async def project(url: str, until: int) -> None:
    """Project the log up to the position `until`."""
    connection = await database.connect(url, PROJECTOR, synchronous_commit="off", **database.BY_KEY)
    memory = Memory[BalanceRow]()
    _wait_for_start()
    while await checkpoints.read(connection, checkpoints.PROJECTOR) < until:
        if not await catch_up(connection, PAGE_EVENTS_MAX, memory):
            await asyncio.sleep(PAUSE_S)
    await connection.close()


def _wait_for_start() -> None:
    """Print that everything is prepared, and wait for a line on standard input."""
    print("ready", flush=True)
    sys.stdin.readline()


def main() -> None:
    """Run the half that the command line names, on the same event loop as the product."""
    collect_garbage_rarely()
    match sys.argv[1:]:
        case ["append", url, begin, transfers, accounts, batch]:
            uvloop.run(append(url, int(begin), int(transfers), int(accounts), int(batch)))
        case ["project", url, until]:
            uvloop.run(project(url, int(until)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()

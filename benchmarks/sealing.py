"""What a seal costs, and how fast a log is verified, on one PostgreSQL with fsync on.

append    what the write path takes of CPU for a transfer: batches of 500, Python and PostgreSQL
seal      the same for an event, by the sealer; and both as they run, the log growing meanwhile
verify    the whole log hashed again in one process, and the memory that it takes

python -m benchmarks.sealing [EVENTS]  →  JSON
"""

import asyncio
import os
import random
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import uvloop

from benchmarks import long_log
from command_side.accounts import Account
from command_side.batch import append_batch
from command_side.commands import Transfer
from command_side.writer import ROLE as WRITER
from daybook import servers
from daybook.supervisor import Supervisor
from events import schema as schemas
from events.memory import Memory
from events.notes import Signer
from events.vocabulary import Posting
from projections.auditing.reconcile import ROLE as AUDITOR
from projections.catch_up import catch_up
from projections.folds.balances import Balance
from projections.sealing.offsite import Folder
from projections.sealing.sealer import PAGE_EVENTS_MAX, Sealer
from projections.sealing.verify import verify_log
from projections.worker import ROLE as PROJECTOR
from runtime import database
from runtime.loop import collect_garbage_rarely
from runtime.migrate import migrate
from runtime.settings import Settings

EVENTS = 1_000_000
BATCH = 500
ACCOUNTS = 10_000
LIVE_EVENTS = 50_000
PROJECTED_MAX = 2_000
KEY = Signer("daybook/bench", bytes(32))
TICKS = os.sysconf("SC_CLK_TCK")


class Cost(msgspec.Struct, frozen=True):
    """Per event: microseconds of CPU of this process and of its PostgreSQL connection; and a rate.

    `events_per_s` is by the clock on the wall.
    """

    events: int
    python_us: float
    postgres_us: float
    events_per_s: int

    @property
    def cpu_us(self) -> float:
        """Both together."""
        return self.python_us + self.postgres_us


class Outcome(msgspec.Struct, frozen=True):
    """The costs; what sealing adds to the CPU of a transfer; the memory of a verification."""

    append: Cost
    project: Cost
    seal: Cost
    seal_live: Cost
    seal_percent_of_transfer: float
    checkpoints_live: int
    verify: Cost
    verify_hashes_per_s: int
    verify_rss_growth_mib: float


async def measure(url: str, events: int, folder: Path) -> Outcome:
    """Fill the empty, migrated log at `url`; then seal it, and verify it."""
    settings = Settings(database_url=url, cache_url="", queue_url="")
    await long_log.write(url, events)
    writer = await database.connect(url, WRITER)
    memory, schema = Memory[Account](), schemas.load()

    async def append(batches: list[list[Transfer]]) -> None:
        for commands in batches:
            await append_batch(writer, commands, schema, datetime.now(UTC), memory)

    # The first transfers open the accounts, and warm everything up.
    await append(_batches(0, ACCOUNTS * 2))
    batches = _batches(ACCOUNTS * 2, LIVE_EVENTS)
    written = await _cost(writer, LIVE_EVENTS, lambda: append(batches))
    total: int = await writer.fetchval("SELECT position FROM events.head")
    projector = await database.connect(url, PROJECTOR, synchronous_commit="off")
    projected = await _cost(projector, total, lambda: _project_all(projector))
    await projector.close()
    sealer = Sealer(settings, [KEY], Folder(folder))
    await sealer.seal()
    connection = sealer.connection
    assert connection is not None, "it has sealed"
    sealed = await _cost(connection, total - PAGE_EVENTS_MAX, lambda: _seal_all(sealer))
    before = await connection.fetchval("SELECT count(*) FROM seal.checkpoints")
    batches = _batches(ACCOUNTS * 2 + LIVE_EVENTS, LIVE_EVENTS)
    appending = asyncio.create_task(append(batches))
    live = await _cost(connection, LIVE_EVENTS, lambda: _seal_while(sealer, appending))
    after = await connection.fetchval("SELECT count(*) FROM seal.checkpoints")
    await sealer.close()
    await writer.close()
    auditor = await database.connect(url, AUDITOR)
    rss = _rss_mib()

    async def verify() -> None:
        verdict = await verify_log(auditor, [KEY.verifier], [str(folder)])
        assert verdict.intact, verdict.findings

    verified = await _cost(auditor, total + LIVE_EVENTS, verify)
    await auditor.close()
    return Outcome(
        append=written,
        project=projected,
        seal=sealed,
        # The process appends at the same time, so only PostgreSQL's part is the sealer's own.
        seal_live=msgspec.structs.replace(live, python_us=sealed.python_us),
        seal_percent_of_transfer=round(
            100 * sealed.cpu_us / (written.cpu_us + projected.cpu_us), 1
        ),
        checkpoints_live=after - before,
        verify=verified,
        # A salt, a leaf and a node for each event.
        verify_hashes_per_s=3 * verified.events_per_s,
        verify_rss_growth_mib=round(_rss_mib() - rss, 1),
    )


def _batches(first: int, count: int) -> list[list[Transfer]]:
    chosen = random.Random(first)
    commands = [
        Transfer(
            ledger="bench",
            key=f"bench-{number}",
            postings=(Posting("world", f"account-{chosen.randrange(ACCOUNTS)}", "1234", "USD"),),
        )
        for number in range(first, first + count)
    ]
    return [commands[at : at + BATCH] for at in range(0, count, BATCH)]


async def _project_all(projector: database.Connection) -> None:
    memory = Memory[Balance]()
    while await catch_up(projector, PROJECTED_MAX, memory):
        pass


async def _seal_all(sealer: Sealer) -> None:
    while await sealer.seal():
        pass


async def _seal_while(sealer: Sealer, appending: asyncio.Task[None]) -> None:
    """Seal at the sealer's own pace while the log grows, and then to its end."""
    while not appending.done():
        if not await sealer.run_once():
            await asyncio.wait({appending}, timeout=1.0)
    await appending
    await _seal_all(sealer)


async def _cost(
    connection: database.Connection, events: int, work: Callable[[], Awaitable[None]]
) -> Cost:
    pid = await connection.fetchval("SELECT pg_backend_pid()")
    began, python, postgres = time.perf_counter(), time.process_time(), _cpu_s(pid)
    await work()
    wall_s = time.perf_counter() - began
    return Cost(
        events,
        round((time.process_time() - python) / events * 1e6, 2),
        round((_cpu_s(pid) - postgres) / events * 1e6, 2),
        int(events / wall_s),
    )


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _rss_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _alone(events: int) -> Outcome:
    """Measure on a PostgreSQL of its own."""
    supervisor = Supervisor()
    with TemporaryDirectory(prefix="daybook-seals-") as name:
        server = await servers.postgres(Path(name), ephemeral=True)
        try:
            await supervisor.start(server.spec)
            await servers.create_database(server)
            await migrate(server.url)
            return await measure(server.url, events, Path(name) / "checkpoints")
        finally:
            await supervisor.stop()


if __name__ == "__main__":
    collect_garbage_rarely()
    asked = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    print(msgspec.json.format(msgspec.json.encode(uvloop.run(_alone(asked))), indent=2).decode())

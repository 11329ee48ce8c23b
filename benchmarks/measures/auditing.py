"""The cost of auditing, by the length of the log.

    write ─▶ append ─▶ project ─▶ rebuild ─▶ seal ─▶ reconcile ─▶ fold ─▶ verify ─▶ continuous
    (long_log) └ batches of 500: the CPU of a transfer, to compare sealing with

One PostgreSQL with fsync on serves a database for each size, which is dropped afterwards. A rebuild
ends at the position of the projector, so the projector runs first. Each step is a process of its
own, so that its peak of memory includes no other step.

    python -m benchmarks.measures.auditing STEP EVENTS DATABASE_URL FOLDER  →  JSON
"""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import uvloop

from auditing.rebuild.rebuild import rebuild
from auditing.reconcile.continuous import Auditor
from auditing.replay import ReplayedState
from auditing.roles import AUDITOR
from benchmarks.environment import SQL
from benchmarks.loads import long_log
from command_side.domain.commands import Transfer
from command_side.writer.account_cache import AccountCache
from command_side.writer.commit import append_batch
from command_side.writer.writer import ROLE as WRITER
from daybook.cli.actions import reconcile
from daybook.embedded import servers
from daybook.embedded.supervisor import Supervisor
from daybook.migrations.migrate import migrate
from daybook.settings import Settings
from events import checkpoints, log
from events import schema as schemas
from events.types import Posting
from projections.catch_up import catch_up
from projections.folds.balances import BalanceRow
from projections.memory import Memory
from projections.worker import ROLE as PROJECTOR
from runtime import database
from runtime.loop import collect_garbage_rarely
from sealing.offsite import Folder
from sealing.sealer import Sealer
from sealing.signed_notes import Signer
from sealing.verify import verify_log

NOWHERE = "http://127.0.0.1:1/000000000000/nothing.fifo"
APPENDED, BATCH = 20_000, 500
PROJECTED_MAX = 2_000
HASHES_PER_EVENT = 3  # A salt, a leaf and a node.
KEY = Signer("daybook/bench", bytes(32))
TICKS = os.sysconf("SC_CLK_TCK")


class Cost(msgspec.Struct, frozen=True):
    """The cost of a step: `python_s` and `postgres_s` are CPU, the latter of the whole server.

    `part_s` is a part of the time: of a rebuild, folding and indexing; of the fold, folding alone.
    """

    events: int
    wall_s: float
    python_s: float
    postgres_s: float
    peak_mb: float
    part_s: float

    @property
    def per_second(self) -> float:
        """Events a second of elapsed time."""
        return self.events / self.wall_s

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU for an event, of Python and PostgreSQL together."""
        return (self.python_s + self.postgres_s) / self.events * 1e6


# The number of events of a step, and the seconds of the part that is reported separately.
StepResult = tuple[int, float]


async def _write(url: str, events: int, _folder: Path) -> StepResult:
    *_, position = [position async for position in long_log.write_long_log(url, events)]
    return position, 0.0


async def _append(url: str, first: int, _folder: Path) -> StepResult:
    connection = await database.connect(url, WRITER, **database.BY_KEY)
    cache, schema = AccountCache(), schemas.load()
    chosen = random.Random(first)
    for begin in range(0, APPENDED, BATCH):
        commands = [
            Transfer(
                ledger=long_log.LEDGER,
                key=f"append-{number}",
                postings=(
                    Posting("world", f"account-{chosen.randrange(long_log.ACCOUNTS)}", 1234, "USD"),
                ),
            )
            for number in range(begin, begin + BATCH)
        ]
        await append_batch(connection, commands, schema, datetime.now(UTC), cache)
    # No relay runs here; without its checkpoint, a reconciliation would report it as late.
    owner = await database.connect(url)
    await checkpoints.move(owner, checkpoints.RELAY, (await log.head(owner)).position)
    await owner.close()
    await connection.close()
    return APPENDED, 0.0


async def _project(url: str, _events: int, _folder: Path) -> StepResult:
    connection = await database.connect(url, PROJECTOR, synchronous_commit="off", **database.BY_KEY)
    memory, done = Memory[BalanceRow](), 0
    while count := await catch_up(connection, PROJECTED_MAX, memory):
        done += count
    await connection.close()
    return done, 0.0


async def _rebuild(url: str, _events: int, _folder: Path) -> StepResult:
    begun: dict[str, float] = {}

    def progress(phase: str, _done: int, _total: int) -> None:
        begun.setdefault(phase, time.perf_counter())

    started = time.perf_counter()
    made = await rebuild(url, rebuilt_by="benchmark", progress=progress)
    assert made.differing == 0, made.differences
    return made.position, begun["comparing"] - started


async def _seal(url: str, _events: int, folder: Path) -> StepResult:
    sealer, sealed = Sealer(_settings(url), [KEY], Folder(folder)), 0
    while count := await sealer.seal():
        sealed += count
    await sealer.close()
    return sealed, 0.0


async def _reconcile(url: str, _events: int, _folder: Path) -> StepResult:
    report = await reconcile.reconcile(_settings(url), reconcile.ReconcileOptions())
    assert report.clean, report.kinds
    return report.events_read, 0.0


async def _fold(url: str, _events: int, _folder: Path) -> StepResult:
    """Decode and fold the log as the auditor does; the part is the CPU of folding alone."""
    connection = await database.connect(url, AUDITOR)
    state, folded, cpu_s = ReplayedState(), 0, 0.0
    async for page in log.pages(connection, 0, log.NO_END):
        began_s = time.process_time()
        for recorded in page:
            state.fold(recorded)
        cpu_s += time.process_time() - began_s
        folded += len(page)
    await connection.close()
    return folded, cpu_s


async def _verify(url: str, _events: int, folder: Path) -> StepResult:
    connection = await database.connect(url, AUDITOR)
    verdict = await verify_log(connection, [KEY.verifier], [str(folder)])
    await connection.close()
    assert verdict.intact, verdict.findings
    return verdict.events, 0.0


async def _continuous(url: str, _events: int, _folder: Path) -> StepResult:
    auditor, events = Auditor(_settings(url)), 0
    while count := await auditor.run_once():
        events += count
    await auditor.stop()
    return events, 0.0


STEPS: dict[str, Callable[[str, int, Path], Awaitable[StepResult]]] = {
    "write": _write,
    "append": _append,
    "project": _project,
    "rebuild": _rebuild,
    "seal": _seal,
    "reconcile": _reconcile,
    "fold": _fold,
    "verify": _verify,
    "continuous": _continuous,
}


async def measure(
    sizes: Sequence[int], shown: Callable[[str], object] = lambda _step: None
) -> dict[int, dict[str, Cost]]:
    """Return the cost of each step by the size of the log; `shown` is called before each step."""
    async with _server() as server_url:
        return {size: await _of_size(server_url, size, shown) for size in sizes}


def figures(costs: dict[str, Cost]) -> dict[str, float]:
    """Return the figures of one size, by their names."""
    rebuilt, folded, verified = costs["rebuild"], costs["fold"], costs["verify"]
    reconciled, projected, continuous = costs["reconcile"], costs["project"], costs["continuous"]
    transfer_us = costs["append"].cpu_us + projected.cpu_us
    return {
        "events in the log": rebuilt.events,
        "log written, events/s": costs["write"].per_second,
        "projector, events/s": projected.per_second,
        "rebuild, events/s": rebuilt.per_second,
        "  rebuild, folding and indexing, events/s": rebuilt.events / rebuilt.part_s,
        "  rebuild, peak MB": rebuilt.peak_mb,
        "seal, events/s": costs["seal"].per_second,
        "  seal, CPU, % of a transfer's": 100 * costs["seal"].cpu_us / transfer_us,
        "reconciliation, events/s": reconciled.per_second,
        "  reconciliation, peak MB": reconciled.peak_mb,
        "auditor's fold, events/s a core": folded.events / folded.part_s,
        "  with reading and decoding, events/s a core": folded.events / folded.python_s,
        "verify, events/s": verified.per_second,
        "  verify, hashes/s": HASHES_PER_EVENT * verified.per_second,
        "  verify, peak MB": verified.peak_mb,
        "continuous audit, CPU µs an event": continuous.cpu_us,
        "  projector, CPU µs an event": projected.cpu_us,
        "  continuous, % of the projector": 100 * continuous.cpu_us / projected.cpu_us,
    }


async def _of_size(server_url: str, size: int, shown: Callable[[str], object]) -> dict[str, Cost]:
    name = f"bench_audit_{size}"
    url = server_url.replace("/daybook?", f"/{name}?")
    await _execute(server_url, f"CREATE DATABASE {name}")
    try:
        await migrate(url)
        costs = {}
        with TemporaryDirectory(prefix="daybook-seals-") as folder:
            for step in STEPS:
                shown(f"{step}, {size:,} transfers")
                costs[step] = await _run_step(step, str(size), url, folder)
        return costs
    finally:
        await _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


async def _run_step(*arguments: str) -> Cost:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.measures.auditing", *arguments), stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, f"{arguments[0]} failed"
    return msgspec.json.decode(out, type=Cost)


@asynccontextmanager
async def _server() -> AsyncIterator[str]:
    """Run a PostgreSQL for this measure alone."""
    supervisor = Supervisor()
    with TemporaryDirectory(prefix="daybook-audit-") as name:
        server = await servers.postgres(Path(name), ephemeral=True)
        try:
            await supervisor.start(server.spec)
            await servers.create_database(server)
            yield server.url
        finally:
            await supervisor.stop()


async def _execute(url: str, statement: str) -> None:
    connection = await database.connect(url)
    await connection.execute(statement)
    await connection.close()


async def _measured(step: str, events: int, url: str, folder: Path) -> Cost:
    connection = await database.connect(url)
    backend: int = await connection.fetchval(SQL["backend"])
    server = int(_stat(backend)[1])
    began_s, python_s, postgres_s = time.perf_counter(), time.process_time(), _server_cpu_s(server)
    done, part_s = await STEPS[step](url, events, folder)
    cost = Cost(
        done,
        time.perf_counter() - began_s,
        time.process_time() - python_s,
        _server_cpu_s(server) - postgres_s,
        _peak_mb(),
        part_s,
    )
    await connection.close()
    return cost


def _server_cpu_s(server: int) -> float:
    """Return the CPU of a PostgreSQL, including its processes that have ended."""
    ticks = sum(map(int, _stat(server)[11:15]))
    children = Path(f"/proc/{server}/task/{server}/children").read_text(encoding="utf-8")
    for child in children.split():
        # A process that ends here is counted as a child of the server next time.
        with suppress(FileNotFoundError, ProcessLookupError):
            ticks += sum(map(int, _stat(int(child))[11:13]))
    return ticks / TICKS


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third, the state, on."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def _peak_mb() -> float:
    # Not the figure of getrusage, which begins with the peak of the parent process.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _settings(url: str) -> Settings:
    return Settings(database_url=url, cache_url=NOWHERE, queue_url=NOWHERE)


if __name__ == "__main__":
    collect_garbage_rarely()
    step_name, count, database_url, folder_name = sys.argv[1:]
    cost = uvloop.run(_measured(step_name, int(count), database_url, Path(folder_name)))
    print(msgspec.json.encode(cost).decode())

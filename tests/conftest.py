"""Real servers for the tests that need them; a test that needs none starts none.

Every pytest-xdist worker is a process with its own servers. They start when the first test needs
them, and are stopped by process id at the end of the session. Each test gets a clone of a migrated
template database, an empty cache and a new queue. The servers' files are in memory if there is
room: a database has 900 files, and ext4 takes up to half a second to make them after as many were
removed.

On a busy machine every bound on waiting grows (`tests/patience.py`).
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from daybook.embedded import servers
from daybook.embedded import supervisor as supervision
from daybook.embedded.supervisor import Supervisor
from tests.patience import patient_s

Admin: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TEMPLATE = "daybook_template"
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 4 * 1024**3
# Above the longest single wait of a test with the greatest patience.
TEST_S_MAX = 600.0
SUPERVISED = ("START_TIMEOUT_S", "STOP_TIMEOUT_S", "PROBE_TIMEOUT_S")


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Bound each test: a hung test names itself, and a slow machine gets the time it needs."""
    os.environ.setdefault("PYTEST_TIMEOUT", f"{patient_s(TEST_S_MAX):.0f}")


@pytest.fixture(scope="session", autouse=True)
def patient_supervisor() -> Iterator[None]:
    """Give the servers of the tests the time that a busy machine needs to start and stop them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SUPERVISED:
            patch.setattr(supervision, name, patient_s(getattr(supervision, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_real_aws() -> Iterator[None]:
    """Give every AWS client the dummy credentials, so that none can reach a real account."""
    with pytest.MonkeyPatch.context() as patch:
        for name, text in servers.DUMMY_AWS.items():
            patch.setenv(name, text)
        patch.delenv("AWS_PROFILE", raising=False)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def memory_for_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use memory as the temporary folder of this process and of those it starts, if it has room.

    A container may have a /dev/shm of 64 MB; then all files stay on the disk.
    """
    tmp_path_factory.getbasetemp()  # pytest keeps its folders on the disk for later sessions.
    with pytest.MonkeyPatch.context() as patch:
        if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN:
            patch.setenv("TMPDIR", str(MEMORY))
            patch.setattr(tempfile, "tempdir", str(MEMORY))
        yield


@pytest.fixture(scope="session")
def server_folder(memory_for_files: None) -> Iterator[Path]:
    """Return the folder of this worker's servers; its path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="daybook-tests-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def supervisor(server_folder: Path) -> AsyncIterator[Supervisor]:
    """Supervise this worker's servers, and stop all of them at the end."""
    supervisor = Supervisor()
    yield supervisor
    await supervisor.stop()


@pytest.fixture(scope="session")
async def postgres_server(supervisor: Supervisor, server_folder: Path) -> str:
    """Start PostgreSQL, without fsync, and return the DSN of its administrative database."""
    server = await servers.postgres(
        server_folder, fsync=False, ephemeral=True, shared_buffers="128MB"
    )
    await supervisor.start(server.spec)
    return _database(server.url, "postgres")


@pytest.fixture(scope="session")
async def admin(postgres_server: str) -> AsyncIterator[Admin]:
    """Return the connection that creates and drops the tests' databases."""
    connection = await asyncpg.connect(postgres_server)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def template_database(postgres_server: str, admin: Admin) -> str:
    """Migrate a database once, for all tests to clone, and return its name."""
    from daybook.migrations.migrate import migrate  # noqa: PLC0415 - unit tests need no database driver

    await admin.execute(f"create database {TEMPLATE}")
    await migrate(_database(postgres_server, TEMPLATE))
    return TEMPLATE


@pytest.fixture
async def database_url(
    postgres_server: str, admin: Admin, template_database: str
) -> AsyncIterator[str]:
    """Clone the template for one test; drop the clone with all its connections afterwards."""
    name = f"test_{uuid4().hex}"
    # Copying file by file takes half as long as the default, which writes every page to the WAL.
    await admin.execute(f"create database {name} template {template_database} strategy file_copy")
    yield _database(postgres_server, name)
    await admin.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
async def valkey_server(supervisor: Supervisor, server_folder: Path) -> str:
    """Start Valkey and return its URL."""
    server = servers.valkey(server_folder, servers.free_port())
    await supervisor.start(server.spec)
    return server.url


@pytest.fixture
async def cache_url(valkey_server: str) -> str:
    """Empty the cache for one test."""
    assert await servers.first_line(_port(valkey_server), b"FLUSHALL\r\n") == b"+OK\r\n"
    return valkey_server


@pytest.fixture(scope="session")
async def sqs_server(supervisor: Supervisor, server_folder: Path) -> str:
    """Start the SQS API and return the URL of its first queue."""
    server = servers.sqs(server_folder, servers.free_port())
    await supervisor.start(server.spec)
    return server.url


@pytest.fixture
async def queue_url(sqs_server: str) -> str:
    """Create a FIFO queue for one test."""
    from runtime import queue  # noqa: PLC0415 - unit tests need no queue driver

    url = sqs_server.replace(servers.QUEUE_NAME, f"{uuid4().hex}.fifo")
    async with queue.connect(url) as connection:
        await connection.ensure()
    return url


def _database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port

"""The embedded default with its real servers and a stand-in for Daybook's processes."""

import asyncio
import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from daybook.embedded import cluster, servers
from daybook.embedded.supervisor import StartError, spawn
from daybook.embedded.up import DEMO_TOKEN, Program, Run, Service, embedded, read_run
from tests.patience import patient_s

WAIT_S_MAX = 15.0
RESTART_S_MAX = 2.0
API = """
import http.server, os
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["DAYBOOK_DATABASE_URL"].encode())
address = (os.environ["DAYBOOK_HOST"], int(os.environ["DAYBOOK_PORT"]))
http.server.HTTPServer(address, Ready).serve_forever()
"""
PROGRAMS = (Program("api", (sys.executable, "-c", API), port_from="DAYBOOK_PORT"),)
UP = f"""
import asyncio, pathlib, sys
from daybook.embedded.up import Program, up

async def nothing(database_url): pass

api = Program("api", (sys.executable, "-c", {API!r}), port_from="DAYBOOK_PORT")
data, port, *ephemeral = sys.argv[1:]
code = asyncio.run(up(
    pathlib.Path(data), int(port), ephemeral=bool(ephemeral), programs=(api,), prepare=nothing
))
sys.exit(code)
"""


async def nothing(_database_url: str) -> None:
    """Prepare no database; these tests are about the servers."""


def started(data: Path, port: int = 0) -> contextlib.AbstractAsyncContextManager[Service]:
    """Run the embedded default with the stand-in, with little memory and without fsync."""
    return embedded(
        data, port, fsync=False, shared_buffers="16MB", programs=PROGRAMS, prepare=nothing
    )


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] != "Z"


async def wait_until(true: Callable[[], bool], within_s: float = WAIT_S_MAX) -> None:
    """Wait for a condition, at most `within_s` on an idle machine."""
    deadline_s = time.monotonic() + patient_s(within_s)
    while not true():
        assert time.monotonic() < deadline_s, "waited too long"
        await asyncio.sleep(0.02)


@pytest.fixture
def empty() -> Iterator[Path]:
    """Return the path of a new data folder, short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="daybook-tests-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "data"


@pytest.fixture(scope="module")
async def used() -> AsyncIterator[Path]:
    """Return a data folder that an earlier run has used; do not write to it."""
    with tempfile.TemporaryDirectory(prefix="daybook-tests-", ignore_cleanup_errors=True) as folder:
        async with started(Path(folder) / "data"):
            pass
        yield Path(folder) / "data"


@pytest.fixture
def data(used: Path, empty: Path) -> Path:
    """Return a used data folder for one test; a copy is quicker than a new cluster."""
    subprocess.run(["cp", "-a", used, empty], check=True)
    for folder in (empty.parent, empty):
        folder.chmod(0o711)
    return empty


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[Service]:
    """Run one embedded default for all tests that do not change it."""
    with tempfile.TemporaryDirectory(prefix="daybook-tests-", ignore_cleanup_errors=True) as folder:
        async with started(Path(folder) / "data") as service:
            yield service


@contextlib.contextmanager
def upped(data: Path, port: int = 0, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Run `up` as a program of its own, and end it afterwards."""
    with subprocess.Popen(
        [sys.executable, "-c", UP, str(data), str(port), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


async def running(data: Path) -> Run:
    """Wait until everything on `data` runs, and return its `run.json`."""
    await wait_until(lambda: "api" in (run.children if (run := read_run(data)) else {}))
    run = read_run(data)
    assert run is not None
    port = int(run.url.rpartition(":")[2])
    for _ in range(100):
        with contextlib.suppress(OSError):
            if await servers.answers_http(port, "/ready"):
                break
        await asyncio.sleep(0.05)
    return run


async def test_servers_start_answer_and_stop(empty: Path) -> None:
    """Each server answers at its URL; afterwards no process and no run.json is left."""
    async with started(empty) as service:
        assert service.token == DEMO_TOKEN
        connection = await asyncpg.connect(service.database_url)
        assert await connection.fetchval("show server_version_num") >= "180000"
        assert await connection.fetchval("select current_database()") == "daybook"
        assert await connection.fetchval("show listen_addresses") == ""
        await connection.close()
        cache_port = int(service.cache_url.split(":")[2].partition("/")[0])
        assert await servers.first_line(cache_port, b"PING\r\n") == b"+PONG\r\n"
        assert service.queue_url.endswith("/000000000000/daybook.fifo")
        pids = service.pids()
        assert list(pids) == ["postgres", "valkey", "sqs", "api"]
        run = read_run(empty)
        assert run is not None
        assert (run.pid, run.url, run.children) == (os.getpid(), service.url, pids)
    assert not any(alive(pid) for pid in pids.values())
    assert read_run(empty) is None


async def test_everything_listens_on_loopback_only(service: Service) -> None:
    """No other machine can reach a server, and no other user the socket."""
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ports = {url.split(":")[2].partition("/")[0] for url in (service.cache_url, service.queue_url)}
    for port in ports:
        addresses = {
            line.split()[1].partition(":")[0]
            for line in listening
            if line.split()[1].endswith(f":{int(port):04X}") and line.split()[3] == "0A"
        }
        assert addresses == {"0100007F"}
    assert stat.S_IMODE((service.data / "sockets").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["postgres", "valkey", "sqs", "api"])
async def test_killed_server_comes_back(service: Service, name: str) -> None:
    """A child killed with `kill -9` is back at its port, and run.json has its new id."""
    before = service.pids()
    os.kill(before[name], signal.SIGKILL)
    await wait_until(lambda: service.pids()[name] != before[name], RESTART_S_MAX)
    run = read_run(service.data)
    assert run is not None
    assert run.children == service.pids()
    assert run.children | {name: 0} == before | {name: 0}
    await _all_answer(service)


async def _all_answer(service: Service) -> None:
    port = int(service.url.rpartition(":")[2])
    sqs_port = int(service.queue_url.split(":")[2].partition("/")[0])
    cache_port = int(service.cache_url.split(":")[2].partition("/")[0])
    async with asyncio.timeout(patient_s(WAIT_S_MAX)):
        while True:
            try:
                connection = await asyncpg.connect(service.database_url)
                await connection.close()
                assert await servers.first_line(cache_port, b"PING\r\n") == b"+PONG\r\n"
                assert await servers.answers_http(sqs_port, "/_ministack/health")
                assert await servers.answers_http(port, "/ready")
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.05)
            else:
                return


async def test_data_is_found_again(data: Path) -> None:
    """A row committed in one run is there in the next, also after a crash of everything."""
    async with started(data) as service:
        connection = await asyncpg.connect(service.database_url)
        await connection.execute("create table kept as select 42 as answer")
        await connection.close()
    async with started(data) as service:
        connection = await asyncpg.connect(service.database_url)
        assert await connection.fetchval("select answer from kept") == 42
        await connection.close()


async def test_half_created_cluster_is_created_again(empty: Path) -> None:
    """A run that was killed during initdb leaves nothing that counts as data."""
    (empty / "postgres.unfinished").mkdir(parents=True)
    (empty / "postgres.unfinished" / "PG_VERSION").write_text("18\n")
    async with started(empty):
        assert not (empty / "postgres.unfinished").exists()


async def test_stale_process_id_of_another_program_is_no_server(data: Path) -> None:
    """Another program may have the process id that a crash left in postmaster.pid."""
    (data / "postgres" / "postmaster.pid").write_text(f"{os.getppid()}\n{data}\n0\n5432\n\n\n")
    (data / "run.json").write_text("{")
    async with started(data) as service:
        await _all_answer(service)


async def test_orphaned_postgres_is_stopped(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A PostgreSQL whose supervisor died (possible on macOS) is stopped."""
    server = await servers.postgres(data, fsync=False, shared_buffers="16MB")
    orphan = spawn(server.spec)
    pid_file = data / "postgres" / "postmaster.pid"
    await wait_until(lambda: pid_file.exists() and "ready" in pid_file.read_text())
    reaped = asyncio.create_task(asyncio.to_thread(orphan.wait))
    async with started(data) as service:
        await _all_answer(service)
    await reaped
    assert f"Stopping a PostgreSQL (pid {orphan.pid})" in caplog.text


async def test_path_too_long_for_a_socket_works(data: Path) -> None:
    """A deep data folder has its socket in a private folder below the temporary one."""
    deep = data / ("long-and, with a comma " * 6)
    async with started(deep) as service:
        await _all_answer(service)
        sockets = Path(service.database_url.partition("host=")[2].partition("&")[0])
    assert sockets.parent == Path(tempfile.gettempdir())
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    sockets.rmdir()


async def test_socket_folder_of_somebody_else_is_refused(empty: Path) -> None:
    """A socket folder that others may enter is an error: its owner could pose as the database."""
    empty.mkdir()
    (empty / "sockets").mkdir(mode=0o755)
    with pytest.raises(StartError, match="must be a folder that only user"):
        await cluster.prepare(empty, sync=False)


async def test_taken_port_is_refused(empty: Path) -> None:
    """The message names the port and says what to do; no server was started."""
    with socket.socket() as taken:
        taken.bind((servers.LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"Port {port} cannot be used .*--port N"):
            async with started(empty, port):
                pytest.fail("it started on a taken port")
    assert not (empty / "postgres").exists()


@pytest.mark.parametrize("port", [-1, 65536])
async def test_impossible_port_is_refused(empty: Path, port: int) -> None:
    """A number that is no port gets a similar message."""
    with pytest.raises(StartError, match=rf"Port {port} cannot be used \(no such port\)"):
        async with started(empty, port):
            pytest.fail("it started on no port")


async def test_unwritable_folder_is_refused(tmp_path: Path) -> None:
    """The message names the folder; a path below a file is unwritable for root, too."""
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"file/data cannot be written to .*--data DIR"):
        async with started(tmp_path / "file" / "data"):
            pytest.fail("it started in no folder")


async def test_second_up_on_a_folder_is_refused(service: Service) -> None:
    """A second run names the process and the URL of the first, and exits with 2."""
    with upped(service.data) as second:
        assert await asyncio.to_thread(second.wait) == 2
        assert second.stderr is not None
        message = second.stderr.read()
    assert message.startswith(f"daybook: Daybook already runs on {service.data} ")
    assert f"(process {os.getpid()}, {service.url})" in message


async def test_failing_program_shows_its_log(data: Path) -> None:
    """A failed start names its reason, and leaves no process and no lock."""
    code = "raise SystemExit('no schema file')"
    broken = Program("api", (sys.executable, "-c", code), port_from="DAYBOOK_PORT")
    with pytest.raises(StartError, match="no schema file"):
        async with embedded(
            data, 0, fsync=False, shared_buffers="16MB", programs=(broken,), prepare=nothing
        ):
            await asyncio.sleep(0)
    assert not (data / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_up_stops_cleanly_on_a_signal(data: Path, number: signal.Signals) -> None:
    """It prints its URL and a first request, and after a signal exits with 0 and nothing left."""
    with upped(data) as process:
        run = await running(data)
        assert process.stdout is not None
        assert run.url in process.stdout.readline()
        process.send_signal(number)
        assert await asyncio.to_thread(process.wait) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert not any(alive(pid) for pid in run.children.values())
    assert read_run(data) is None
    assert not (data / "postgres" / "postmaster.pid").exists()


async def test_up_interrupted_while_starting_stops_cleanly(empty: Path) -> None:
    """Ctrl-C during the start ends it in the same way."""
    with upped(empty) as process:
        await wait_until((empty / "postgres.unfinished").exists)
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait) == 0
    assert not (empty / "postgres").exists()


async def test_ephemeral_up_leaves_nothing(empty: Path) -> None:
    """An ephemeral run uses a temporary folder, and removes it."""
    with upped(empty, 0, "ephemeral") as process:
        assert process.stdout is not None
        lines = [await asyncio.to_thread(process.stdout.readline) for _ in range(3)]
        folder = Path(lines[2].split()[1])
        assert folder.is_dir()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait) == 0
    assert not folder.exists()
    assert not empty.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of this")
async def test_killed_up_leaves_no_process_and_starts_again(data: Path) -> None:
    """`kill -9` of the supervisor ends the servers; the next start finds the data."""
    with upped(data) as process:
        run = await running(data)
        process.kill()
    await wait_until(lambda: not any(alive(pid) for pid in run.children.values()))
    async with started(data) as service:
        await _all_answer(service)

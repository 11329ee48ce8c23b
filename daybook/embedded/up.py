"""`daybook up`: every server that Daybook needs, and Daybook itself, on one machine.

    lock the data folder ─▶ postgres, valkey, sqs ─▶ migrate, seed ─▶ workers, api ─▶ ready
            … until SIGINT or SIGTERM ─▶ stop all, the last first ─▶ unlock

Only one run at a time uses a data folder: it holds a lock (flock), which the kernel releases when
the process dies. `run.json` in the folder names the running processes, also after a restart.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import click
import msgspec

from daybook.embedded import servers
from daybook.embedded.supervisor import Spec, StartError, Supervisor

DEFAULT_DATA = Path(".daybook")
DEFAULT_PORT = 3000
COULD_NOT_RUN = 2
DEMO_TOKEN = "demo-token-for-testing"  # noqa: S105 - public; only the embedded default has it


class Program(msgspec.Struct, frozen=True):
    """One of our processes; `port_from` is the variable with the port that answers GET /ready."""

    name: str
    argv: tuple[str, ...]
    port_from: str | None = None
    env: dict[str, str] = {}


def daybook_program(name: str, *arguments: str, port_from: str) -> Program:
    """Return the program that runs this same `daybook` with `arguments`."""
    return Program(name, (sys.executable, "-m", "daybook", *arguments), port_from)


PROGRAMS = (
    daybook_program("relay", "relay", port_from="DAYBOOK_HEALTH_PORT"),
    daybook_program("project", "project", port_from="DAYBOOK_HEALTH_PORT"),
    daybook_program("audit", "audit", port_from="DAYBOOK_HEALTH_PORT"),
    daybook_program("seal", "seal", port_from="DAYBOOK_HEALTH_PORT"),
    daybook_program("api", "serve", "all", port_from="DAYBOOK_PORT"),
)


class Run(msgspec.Struct, frozen=True):
    """The content of `run.json`; `pid` is the supervisor's."""

    pid: int
    url: str
    children: dict[str, int]
    database_url: str
    cache_url: str
    queue_url: str


class Service(msgspec.Struct, frozen=True):
    """A running Daybook: where it is, and its processes."""

    url: str
    token: str
    data: Path
    database_url: str
    cache_url: str
    queue_url: str
    pids: Callable[[], dict[str, int]]


async def up(
    data: Path = DEFAULT_DATA,
    port: int = DEFAULT_PORT,
    *,
    ephemeral: bool = False,
    programs: Sequence[Program] = PROGRAMS,
    prepare: Callable[[str], Awaitable[None]] | None = None,
    on_ready: Callable[[Service], None] | None = None,
) -> int:
    """Run the embedded default until SIGINT, SIGTERM or SIGHUP; return the exit code.

    The first signal cancels this task, so that starting and running end in the same way. Later
    signals have no effect, because stopping takes bounded time.
    """
    task = asyncio.current_task()
    assert task is not None
    signals: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        if not signals:
            task.cancel()
        signals.append(number)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    try:
        async with embedded(
            data, port, ephemeral=ephemeral, programs=programs, prepare=prepare
        ) as service:
            (on_ready or announce)(service)
            await asyncio.Event().wait()
    except StartError as error:
        click.echo(f"daybook: {error}", err=True)
        return COULD_NOT_RUN
    except asyncio.CancelledError:
        if not signals:
            raise
    return 0


@asynccontextmanager
async def embedded(
    data: Path = DEFAULT_DATA,
    port: int = DEFAULT_PORT,
    *,
    ephemeral: bool = False,
    fsync: bool = True,
    shared_buffers: str = "512MB",
    max_wal_size: str = "4GB",
    programs: Sequence[Program] = PROGRAMS,
    prepare: Callable[[str], Awaitable[None]] | None = None,
) -> AsyncIterator[Service]:
    """Run everything on `data` while the context is open; port 0 chooses a free one.

    `ephemeral` uses a temporary folder instead of `data` and removes it at the end. `prepare` is
    called with the database URL before our programs start; the default migrates and seeds.
    Raises StartError.
    """
    with _data_folder(data, ephemeral=ephemeral) as folder:
        _run_file(folder).unlink(missing_ok=True)  # We hold the lock, so no earlier run is alive.
        port = _claim_port(port)
        postgres = await servers.postgres(
            folder,
            fsync=fsync,
            ephemeral=ephemeral,
            shared_buffers=shared_buffers,
            max_wal_size=max_wal_size,
        )
        valkey = servers.valkey(folder, servers.free_port())
        sqs = servers.sqs(folder, servers.free_port())
        supervisor = Supervisor(lambda pids: _record(service, pids))
        service = Service(
            url=f"http://{servers.LOOPBACK}:{port}",
            token=DEMO_TOKEN,
            data=folder,
            database_url=postgres.url,
            cache_url=valkey.url,
            queue_url=sqs.url,
            pids=supervisor.pids,
        )
        try:
            await supervisor.start(postgres.spec, valkey.spec, sqs.spec)
            await servers.create_database(postgres)
            await (prepare or _migrate_and_seed)(postgres.url)
            _make_seal_key(folder)
            await supervisor.start(*(_spec(program, service, port) for program in programs))
            yield service
        finally:
            await supervisor.stop()
            _run_file(folder).unlink(missing_ok=True)


def announce(service: Service) -> None:
    """Print the URL, the token, the data folder and a first request."""
    path = "/api/v1/accounts/account-123/balance"
    click.echo(f"Daybook is ready.    {service.url}")
    click.echo(f"  token              {service.token}")
    click.echo(f"  data               {service.data}")
    click.echo(f"  try                curl -H 'Authorization: Bearer {service.token}' \\")
    click.echo(f"                          {service.url}{path}")
    click.echo("Ctrl-C stops it.")


def seal_key(data: Path) -> Path:
    """Return the file of the key that signs checkpoints."""
    return data / "seal.key"


def read_run(data: Path) -> Run | None:
    """Return what runs on `data`, or ran there before a crash; None if nothing did."""
    try:
        return msgspec.json.decode(_run_file(data).read_bytes(), type=Run)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


async def _migrate_and_seed(database_url: str) -> None:
    from daybook.embedded.seed import seed_demo  # noqa: PLC0415 - only a start that gets so far needs them
    from daybook.migrations.migrate import migrate  # noqa: PLC0415

    await migrate(database_url)
    await seed_demo(database_url, os.environ.get("DAYBOOK_SCHEMA_FILE"))


def _make_seal_key(data: Path) -> None:
    from sealing import key_file  # noqa: PLC0415 - as above

    key_file.make(seal_key(data), None)


def _spec(program: Program, service: Service, port: int) -> Spec:
    env = _environment(service, port) | program.env
    asked = int(env[program.port_from]) if program.port_from else None
    return Spec(
        name=program.name,
        argv=program.argv,
        env=env,
        cwd=Path.cwd(),  # A relative path in the user's settings must keep its meaning.
        log_file=service.data / "logs" / f"{program.name}.log",
        ready=(lambda: servers.answers_http(asked, "/ready")) if asked else None,
        # Not SIGKILL: a server must be able to stop its own workers.
        orphan_signal=signal.SIGTERM,
    )


def _environment(service: Service, port: int) -> dict[str, str]:
    """Return our environment, without variables that would lead to servers other than ours."""
    foreign = ("AWS_", "PG")
    ours = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
    return {
        **ours,
        **servers.DUMMY_AWS,
        "NO_PROXY": f"{servers.LOOPBACK},localhost",
        "no_proxy": f"{servers.LOOPBACK},localhost",
        "PYTHONUNBUFFERED": "1",
        "DAYBOOK_DATABASE_URL": service.database_url,
        "DAYBOOK_CACHE_URL": service.cache_url,
        "DAYBOOK_QUEUE_URL": service.queue_url,
        "DAYBOOK_HOST": servers.LOOPBACK,
        "DAYBOOK_PORT": str(port),
        "DAYBOOK_HEALTH_PORT": str(servers.free_port()),
        "DAYBOOK_SEAL_KEY_FILE": ours.get("DAYBOOK_SEAL_KEY_FILE") or str(seal_key(service.data)),
    }


@contextmanager
def _data_folder(data: Path, *, ephemeral: bool) -> Iterator[Path]:
    """Lock a data folder, created if it is missing; remove a temporary one afterwards."""
    if not ephemeral:
        with _locked(data.resolve()) as folder:
            yield folder
        return
    folder = Path(tempfile.mkdtemp(prefix="daybook-"))
    try:
        with _locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a")
    except OSError as error:
        raise StartError(
            f"The data folder {folder} cannot be written to ({error.strerror}). "
            "Choose another one: --data DIR"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError(_already_running(folder)) from error
        yield folder


def _already_running(folder: Path) -> str:
    run = read_run(folder)
    where = f"process {run.pid}, {run.url}" if run else "it is just starting or stopping"
    stop = f"Stop it (kill {run.pid})" if run else "Try again in a moment"
    return f"Daybook already runs on {folder} ({where}). {stop}, or choose another --data DIR."


def _claim_port(port: int) -> int:
    """Return `port`, or a free port for 0. Raises StartError if the port cannot be used."""
    if port == 0:
        return servers.free_port()
    with socket.socket() as probe:
        # Without this a port counts as taken for a minute after its last server has stopped.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((servers.LOOPBACK, port))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no such port"
            raise StartError(
                f"Port {port} cannot be used ({reason}). Stop the program that uses it, "
                "or choose another one: --port N (0 finds a free one)"
            ) from error
    return port


def _run_file(folder: Path) -> Path:
    return folder / "run.json"


def _record(service: Service, pids: dict[str, int]) -> None:
    """Write another file and rename it to `run.json`, so that no reader sees half of it."""
    run = Run(
        os.getpid(),
        service.url,
        pids,
        service.database_url,
        service.cache_url,
        service.queue_url,
    )
    unfinished = _run_file(service.data).with_suffix(".unfinished")
    unfinished.write_bytes(msgspec.json.encode(run))
    unfinished.replace(_run_file(service.data))

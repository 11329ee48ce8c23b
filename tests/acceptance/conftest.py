"""The running program: one embedded service for each pytest-xdist worker, and one to kill.

A test that needs the program to itself gets a ledger of its own; tests that kill processes share
`mortal`, in one xdist group, so that nobody else is disturbed.
"""

from collections.abc import AsyncIterator, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Protocol

import asyncpg
import msgspec
import pytest

from daybook.embedded.up import PROGRAMS, Service, embedded
from events.schema import DEFAULT_FILE
from tests.acceptance.driver import SCOPES, Database, Ledger, opened_ledger

CAPPED = """
[[classes]]
name = "capped"
pattern = "capped:*"
normal_side = "credit"
amount_max = "500.00"

[[classes]]
name = "customer"
"""
SHARED_BUFFERS = "64MB"
ERRORS_MAX = 20


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the errors in the services' logs with a failure; the logs are removed at the end."""
    report = yield
    if report.failed:
        for name, running in item.funcargs.items():
            if isinstance(running, Service):
                report.sections.append((f"errors of {name}", _errors(running.data / "logs")))
    return report


def _errors(folder: Path) -> str:
    lines = [
        f"{path.name}: {line}"
        for path in sorted(folder.glob("*.log"))
        for line in path.read_text(errors="replace").splitlines()
        if '"level":"ERROR"' in line
    ]
    return "\n".join(lines[-ERRORS_MAX:]) or "none"


class OpenLedger(Protocol):
    """Open a fresh ledger, or make another token for an existing one."""

    async def __call__(
        self, scopes: tuple[str, ...] = SCOPES, name: str | None = None, also: tuple[str, ...] = ()
    ) -> Ledger:
        """Return a client; its token is also for the ledgers in `also`."""


@pytest.fixture(scope="session")
def schema_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the default schema with one more class, whose accounts have a limit of amounts."""
    path = tmp_path_factory.mktemp("schema") / "schema.toml"
    before, customer, after = DEFAULT_FILE.read_text().partition('[[classes]]\nname = "customer"\n')
    assert customer
    path.write_text(before + CAPPED + after)
    return path


def _service(schema_file: Path) -> AbstractAsyncContextManager[Service]:
    env = {"DAYBOOK_SCHEMA_FILE": str(schema_file), "DAYBOOK_SEAL_INTERVAL_S": "0.1"}
    programs = [msgspec.structs.replace(program, env=env) for program in PROGRAMS]
    return embedded(
        Path(),
        0,
        ephemeral=True,
        fsync=False,
        shared_buffers=SHARED_BUFFERS,
        programs=programs,
    )


@pytest.fixture(scope="session")
async def service(schema_file: Path, no_real_aws: None) -> AsyncIterator[Service]:
    """Run the service for the whole session of a worker."""
    async with _service(schema_file) as running:
        yield running


@pytest.fixture(scope="session")
async def mortal(schema_file: Path, no_real_aws: None) -> AsyncIterator[Service]:
    """Run another service, whose processes the tests may kill."""
    async with _service(schema_file) as running:
        yield running


@pytest.fixture(scope="session")
async def database(service: Service) -> AsyncIterator[Database]:
    """Connect to the service's database as its administrator."""
    connection = await asyncpg.connect(service.database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def open_ledger(service: Service) -> AsyncIterator[OpenLedger]:
    """Open ledgers that last for one test."""
    async with AsyncExitStack() as stack:

        async def opening(
            scopes: tuple[str, ...] = SCOPES, name: str | None = None, also: tuple[str, ...] = ()
        ) -> Ledger:
            return await stack.enter_async_context(opened_ledger(service, scopes, name, also))

        yield opening


@pytest.fixture
async def ledger(open_ledger: OpenLedger) -> Ledger:
    """Open a fresh ledger."""
    return await open_ledger()

"""A second SQS API for the tests of queues: moto's server, whose faults differ from ministack's."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from daybook.embedded import servers
from runtime import queue

MOTO_ACCOUNT = "123456789012"


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    """Run moto's server in a thread of this process and return its port."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - slow to import, seldom needed

    port = servers.free_port()
    server = ThreadedMotoServer(servers.LOOPBACK, port, verbose=False)
    server.start()
    yield port
    server.stop()


@pytest.fixture
async def moto_queue_url(moto_port: int) -> str:
    """Create a FIFO queue on moto's server for one test."""
    url = f"http://{servers.LOOPBACK}:{moto_port}/{MOTO_ACCOUNT}/{uuid4().hex}.fifo"
    async with queue.connect(url) as connection:
        await connection.ensure()
    return url


@pytest.fixture(params=["queue_url", "moto_queue_url"])
def queue_url_each(request: pytest.FixtureRequest) -> str:
    """Run a test once against each SQS API, with a fresh FIFO queue."""
    url: str = request.getfixturevalue(request.param)
    return url

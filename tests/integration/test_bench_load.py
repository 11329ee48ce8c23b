"""The load generator, against a server whose every answer is known."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.loads.requests import HEAD_END, content_length
from benchmarks.loads.singles import SinglesOptions, run
from benchmarks.loads.tally import LOST

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"
SHED = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}"
BROKEN = b"HTTP/1.1 500 Broken\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
STALL_S = 0.2

Answers = Callable[[int], Awaitable[bytes]]


@asynccontextmanager
async def answering(answers: Answers) -> AsyncIterator[str]:
    """Serve `answers(number)` to each request, counted from 0, over connections that stay open."""
    numbers = iter(range(10_000))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(HEAD_END)).lower()
                await reader.readexactly(content_length(head))
                answer = await answers(next(numbers))
                writer.write(answer)
                if not answer or answer == BROKEN:
                    break
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def options(target: str, *, rate: float | None) -> SinglesOptions:
    """Return a short load."""
    return SinglesOptions(
        targets=[target],
        token="token",
        prefix="test",
        connections=1,
        seconds=0.3,
        warm_up_s=0,
        accounts=10,
        rate=rate,
    )


async def test_requests_that_a_stall_kept_from_being_sent_count_from_when_they_were_due() -> None:
    """One slow answer delays all requests that are due in the meantime (coordinated omission)."""

    async def stall_once(number: int) -> bytes:
        await asyncio.sleep(STALL_S if number == 0 else 0)
        return ACCEPTED

    async with answering(stall_once) as target:
        outcome = await run(options(target, rate=200))
    assert outcome.accepted == outcome.due > 20
    assert outcome.latency.p50_ms is not None
    assert outcome.service.p50_ms is not None
    assert outcome.latency.p50_ms > 1000 * STALL_S / 5
    assert outcome.service.p50_ms < 1000 * STALL_S / 5


@pytest.mark.parametrize("rate", [None, 500])
async def test_every_request_is_accounted_for(rate: float | None) -> None:
    """Accepted, shed with a Retry-After, failed by its status, or never answered."""
    kinds = (ACCEPTED, SHED, BROKEN, b"")

    async def each_in_turn(number: int) -> bytes:
        return kinds[number % len(kinds)]

    async with answering(each_in_turn) as target:
        outcome = await run(options(target, rate=rate))
    assert outcome.accepted > 0
    assert outcome.shed > 0
    assert set(outcome.failures) == {"500", LOST}
    counted = outcome.accepted + outcome.shed + outcome.unsent + sum(outcome.failures.values())
    assert counted == outcome.due

"""The one loop under every worker: it rests, backs off, never gives up, and stops when told."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from runtime import loop

WAIT_S = 5


class Worker:
    """Does what its script says: a number is work done, an exception is raised; then it stops."""

    def __init__(self, *script: int | Exception) -> None:
        self.script = list(script)
        self.rests = 0
        self.stop = asyncio.Event()

    async def run_once(self) -> int:
        """Play the next step."""
        step = self.script.pop(0)
        if not self.script:
            self.stop.set()
        if isinstance(step, Exception):
            raise step
        return step

    async def rest(self) -> None:
        """Count."""
        self.rests += 1

    async def run(self) -> None:
        """Run to the end of the script."""
        await asyncio.wait_for(
            loop.run_forever("the worker", self.run_once, self.rest, self.stop), WAIT_S
        )


async def test_it_rests_only_when_there_was_nothing() -> None:
    """Work in hand is followed by more work at once."""
    worker = Worker(3, 0, 2, 0, 1)
    await worker.run()
    assert (worker.script, worker.rests) == ([], 2)


async def test_a_failure_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever stops a worker can be mended only from outside, so it never gives up."""
    worker = Worker(RuntimeError("first"), RuntimeError("second"), 1, 0)
    with caplog.at_level(logging.ERROR):
        await worker.run()
    assert [record.message for record in caplog.records] == [
        "the worker failed; trying again in 0.05 s",
        "the worker failed; trying again in 0.10 s",
    ]
    assert "first" in caplog.text


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sleep not at all, and keep how long it would have been, in milliseconds.

    Only `runtime.loop` sees it: other threads of this process go on sleeping.
    """
    kept: list[int] = []
    sleep: Callable[[int], Awaitable[None]] = asyncio.sleep

    async def nap(delay_s: float) -> None:
        kept.append(round(delay_s * 1000))
        await sleep(0)

    monkeypatch.setattr(loop, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": nap}))
    return kept


async def test_back_off_doubles_up_to_its_bound(naps: list[int]) -> None:
    """From 0.05 s to 5 s, however often it fails."""
    await Worker(*(RuntimeError() for _ in range(11)), 1).run()
    assert naps[:7] == [50, 100, 200, 400, 800, 1600, 3200]
    assert set(naps[7:]) == {round(loop.BACKOFF_MAX_S * 1000)} == {5000}
    assert len(naps) == 11


async def test_a_success_ends_the_back_off(naps: list[int]) -> None:
    """The next failure starts from the shortest pause again; rest does not count as failure."""
    await Worker(RuntimeError(), RuntimeError(), 1, RuntimeError(), 0, RuntimeError(), 1).run()
    assert naps == [50, 100, 50, 50]


async def test_a_failing_rest_backs_off_too(naps: list[int]) -> None:
    """A rest may wait for a server; its failure neither ends the loop nor lets it spin."""
    worker = Worker(0, 0, 0, 1)

    async def rest() -> None:
        raise ConnectionError

    await asyncio.wait_for(
        loop.run_forever("the worker", worker.run_once, rest, worker.stop), WAIT_S
    )
    assert naps == [50, 100, 200]


@pytest.mark.parametrize("result", [0, RuntimeError()], ids=["resting", "backing off"])
async def test_stop_ends_a_pause_at_once(
    result: int | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clean stop waits for no rest and no back-off, and leaves nothing running."""
    monkeypatch.setattr(loop, "BACKOFF_FIRST_S", 600)
    before = asyncio.all_tasks()
    stop, runs = asyncio.Event(), 0

    async def run_once() -> int:
        nonlocal runs
        runs += 1
        asyncio.get_running_loop().call_soon(stop.set)
        if isinstance(result, Exception):
            raise result
        return result

    async def rest() -> None:
        await asyncio.sleep(600)

    await asyncio.wait_for(loop.run_forever("the worker", run_once, rest, stop), WAIT_S)
    assert runs == 1
    assert asyncio.all_tasks() == before


async def test_a_loop_that_is_stopped_already_does_nothing() -> None:
    """The last signal may come before the first run."""
    worker = Worker(1)
    worker.stop.set()
    await worker.run()
    assert worker.script == [1]


async def test_a_cancelled_loop_takes_its_rest_along() -> None:
    """Nothing goes on in the background for a worker that is gone."""
    before = asyncio.all_tasks()
    resting = asyncio.Event()

    async def run_once() -> int:
        return 0

    async def rest() -> None:
        resting.set()
        await asyncio.sleep(600)

    task = asyncio.create_task(loop.run_forever("the worker", run_once, rest, asyncio.Event()))
    await asyncio.wait_for(resting.wait(), WAIT_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    left = asyncio.all_tasks() - before
    for leftover in left:
        leftover.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    assert left == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_sets_stop(number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM are the ways to stop a worker."""
    stop = loop.stop_on_signals()
    try:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), WAIT_S)
    finally:
        for handled in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(handled)

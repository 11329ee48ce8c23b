"""The loop of every worker: run, rest when there was nothing to do, back off after a failure.

A worker has a `run_once` that returns how much it did. Tests call `run_once`; processes call
`run_forever`.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 5.0
GC_THRESHOLD = 50_000


def collect_garbage_rarely() -> None:
    """Let the cyclic garbage collector run less often, and skip imported modules.

    Nearly no object in these processes is part of a cycle. With Python's default threshold the
    collector takes a sixth of the CPU of an API process under load, and doubles its p99.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGINT or SIGTERM sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def run_forever(
    name: str,
    run_once: Callable[[], Awaitable[int]],
    rest: Callable[[], Awaitable[None]],
    stop: asyncio.Event,
) -> None:
    """Call `run_once` until `stop` is set, and `rest` whenever it found nothing to do.

    After a failure it logs and tries again after 0.05 s, 0.1 s … 5 s. A worker never gives up,
    because only somebody outside can correct the cause, such as a server that is down.
    """
    backoff_s = BACKOFF_FIRST_S
    while not stop.is_set():
        try:
            if await run_once() == 0:
                await _either(stop.wait(), rest())
        except Exception:
            log.exception("%s failed; trying again in %.2f s", name, backoff_s)
            await _either(stop.wait(), asyncio.sleep(backoff_s))
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
            continue
        backoff_s = BACKOFF_FIRST_S


async def _either(*waits: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()

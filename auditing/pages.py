"""Iterators over the pages of a log, whatever they hold."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from events.types import Recorded

Page = TypeVar("Page")
# Called with the position that was reached, and the position to reach.
Progress = Callable[[int, int], None]


async def read_ahead(pages: AsyncIterator[Page]) -> AsyncIterator[Page]:
    """Yield `pages`, and read the next page while the caller works on one."""

    async def following() -> Page | None:
        return await anext(pages, None)

    reading = asyncio.create_task(following())
    try:
        while (page := await reading) is not None:
            reading = asyncio.create_task(following())
            await asyncio.sleep(0)
            yield page
    finally:
        await ended(reading)


async def reported(
    pages: AsyncIterator[Sequence[Recorded]], progress: Progress, until: int
) -> AsyncIterator[Sequence[Recorded]]:
    """Yield `pages`, and report the position of each when the caller has worked on it."""
    async for page in pages:
        yield page
        progress(page[-1].position, until)


async def ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task if it is still running, and wait until it has ended."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(task, return_exceptions=True)

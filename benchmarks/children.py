"""Processes that a run starts and waits for."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

STDERR_SHOWN = 2_000


async def output(*argv: str) -> str:
    """Return what a program writes; end the run with its complaint when it fails."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        sys.exit(f"{' '.join(argv)} failed:\n{err.decode()[-STDERR_SHOWN:]}")
    return out.decode()


@asynccontextmanager
async def ready(module: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a module that says "ready" when it has prepared everything, and wait until then."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n", f"{module} did not start"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

"""Start the processes of a run, and read their results."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from daybook.embedded.servers import LOOPBACK

T = TypeVar("T")
STDERR_SHOWN = 2_000


async def run_program(*argv: str) -> str:
    """Return the output of a program; exit with the end of its error output if it fails."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        sys.exit(f"{' '.join(argv)} failed:\n{err.decode()[-STDERR_SHOWN:]}")
    return out.decode()


@asynccontextmanager
async def started(module: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a module, and wait until it has prepared everything and prints "ready"."""
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


async def run_module(module: str, options: msgspec.Struct, outcome: type[T]) -> T:
    """Run a module with `options` as its JSON argument, and return the JSON that it prints."""
    argument = msgspec.json.encode(options).decode()
    text = await run_program(sys.executable, "-m", module, argument)
    return msgspec.json.decode(text, type=outcome)


async def metrics(port: int) -> list[tuple[str, dict[str, str], float]]:
    """Return the name, labels and value of every sample at a process's `/metrics`."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = (await client.get(f"http://{LOOPBACK}:{port}/metrics")).raise_for_status()
    families = text_string_to_metric_families(answer.text)
    return [(s.name, s.labels, s.value) for family in families for s in family.samples]

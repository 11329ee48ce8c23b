"""What processes do while a load runs: sampled from outside, by py-spy.

Only samples of threads that run count; what waits for a socket is not there. py-spy reads a
process's memory without stopping it, so that a few samples may be torn: those name no stage.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.stages.places import stage_of

SAMPLES_A_SECOND = 200
# It is told to stop when the load ends.
SECONDS_MAX = 120
STOPPING_S = 20
ATTACHED_S = 1.0
UNNAMED = "other Python"

Samples = dict[str, Counter[str]]


@asynccontextmanager
async def watching(pids: Mapping[str, int]) -> AsyncIterator[Samples]:
    """Sample these processes while the context is open; afterwards there are samples by stage.

    Ends the run with py-spy's complaint, if it cannot attach.
    """
    samples: Samples = {}
    with TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.raw" for name in pids}
        spies = {name: await _spy(pid, files[name]) for name, pid in pids.items()}
        try:
            await asyncio.sleep(ATTACHED_S)
            for name, spy in spies.items():
                if spy.returncode is not None:
                    await _complain(name, pids[name], spy)
            yield samples
        finally:
            for spy in spies.values():
                if spy.returncode is None:
                    spy.send_signal(signal.SIGINT)
            async with asyncio.timeout(STOPPING_S):
                await asyncio.gather(*(spy.wait() for spy in spies.values()))
        for name, file in files.items():
            if spies[name].returncode or not file.exists():
                await _complain(name, pids[name], spies[name])
            samples[name] = counted(name, file.read_text(encoding="utf-8"))


def counted(process: str, raw: str) -> Counter[str]:
    """Return the samples of each stage, from py-spy's raw format: `outer;…;inner count`."""
    found: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        found[stage_of(process, stack.split(";")) or UNNAMED] += int(count)
    return found


async def _spy(pid: int, file: Path) -> asyncio.subprocess.Process:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    program = shutil.which("py-spy", path=path)
    if program is None:
        sys.exit("py-spy is not installed. `make bench-stages` installs it, or: pip install py-spy")
    return await asyncio.create_subprocess_exec(
        *(program, "record", "--pid", str(pid), "--nonblocking", "--format", "raw"),
        *("--rate", str(SAMPLES_A_SECOND), "--duration", str(SECONDS_MAX), "--output", str(file)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


async def _complain(name: str, pid: int, spy: asyncio.subprocess.Process) -> None:
    assert spy.stderr is not None
    said, _, _ = (await spy.stderr.read()).decode(errors="replace").partition("Stack backtrace")
    sys.exit(
        f"py-spy cannot watch {name} (process {pid}): {said.strip()}\n"
        "It needs the right to trace: run as root, let the container trace (docker run "
        "--cap-add SYS_PTRACE), or set kernel.yama.ptrace_scope to 0."
    )

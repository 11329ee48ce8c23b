"""Run pgbench on a database."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.environment import pgbench
from benchmarks.latency import Latency, latency
from benchmarks.processes import run_program

CLIENTS = 16
THREADS = 2
TPS = re.compile(r"tps = ([\d.]+)")


async def press(
    url: str, *arguments: str, seconds: int, warm_up_s: int, clients: int = CLIENTS
) -> tuple[float, Latency]:
    """Return transactions a second, and the latencies of a tenth of them."""
    pressing = (pgbench(), "-n", "-c", str(clients), "-j", str(THREADS), "-M", "prepared")
    await run_program(*pressing, "-T", str(warm_up_s), *arguments, url)
    with TemporaryDirectory() as folder:
        logged = ("-l", "--sampling-rate=0.1", f"--log-prefix={folder}/log")
        text = await run_program(*pressing, *logged, "-T", str(seconds), *arguments, url)
        lines = [
            line
            for file in Path(folder).iterdir()
            for line in file.read_text(encoding="utf-8").splitlines()
        ]
    found = TPS.search(text)
    assert found is not None, text
    # client, transaction, microseconds, ...
    return float(found[1]), latency([int(line.split()[2]) / 1_000_000 for line in lines])

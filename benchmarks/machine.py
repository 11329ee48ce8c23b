"""Describe the machine of a run."""

import platform
from pathlib import Path

import psutil

from benchmarks.environment import pgbench
from benchmarks.processes import run_program

CPU_INFO = Path("/proc/cpuinfo")


async def describe() -> dict[str, str]:
    """Return what a reader needs to interpret the figures; nothing in it identifies the machine."""
    return {
        "cores": str(psutil.cpu_count()),
        "model": _model(),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "postgresql": (await run_program(pgbench(), "--version")).split()[-1],
        "fsync": "on",
        "load before": f"{psutil.getloadavg()[0]:.1f}",
    }


def _model() -> str:
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()

"""What kind of a machine a run was made on."""

import os
import platform
from pathlib import Path


def described() -> str:
    """Return the machine in one line."""
    cores = os.cpu_count()
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        )
        if Path("/proc/cpuinfo").exists()
        else iter(()),
        platform.processor(),
    )
    return f"{cores} cores, {model}; Python {platform.python_version()}; fsync on"

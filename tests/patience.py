"""How long a test waits on a busy machine: each bound is multiplied by one factor.

`DAYBOOK_TEST_PATIENCE` is the factor. Without it, the factor is the load average for each
processor, measured when the wait begins: 1 on an idle machine, 12 where 24 processes compete for
two processors. The bounds of the product itself stay as they are.
"""

import os

VARIABLE = "DAYBOOK_TEST_PATIENCE"
FACTOR_MAX = 20.0


def factor() -> float:
    """Return the factor of this moment, at least 1."""
    text = os.environ.get(VARIABLE)
    if text:
        return max(1.0, float(text))
    running = os.getloadavg()[0] / (os.cpu_count() or 1)
    return min(max(1.0, running), FACTOR_MAX)


def patient_s(seconds: float) -> float:
    """Return how long to wait here for what takes at most `seconds` on an idle machine."""
    return seconds * factor()

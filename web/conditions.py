"""How fresh an answer must be: `Daybook-Min-Position: N`, waiting up to S of `Prefer: wait=S`.

Every reading room asks here before it reads, so that a client sees its own write wherever it looks.
"""

from collections.abc import Awaitable, Callable, Mapping

from runtime.problems import Invalid, Unavailable

MIN_POSITION = "daybook-min-position"
WAIT_DEFAULT_S = 1.0
BIGGEST = 2**63 - 1
_PREFERENCE = "wait="
_SECONDS_DIGITS_MAX = 9


def preferred_wait_s(headers: Mapping[str, str], wait_s_max: float) -> float | None:
    """Return S of `Prefer: wait=S` (RFC 7240), at most `wait_s_max`; None if not asked for."""
    preferences = headers.get("prefer")
    if preferences is None:
        return None
    for preference in preferences.split(","):
        text = preference.strip()
        if text.startswith(_PREFERENCE):
            digits = text.removeprefix(_PREFERENCE)
            if not digits.isascii() or not digits.isdigit():
                raise Invalid("prefer_invalid", "`Prefer: wait=S` takes a whole number of seconds.")
            return min(int(digits[:_SECONDS_DIGITS_MAX]), wait_s_max)
    return None


# Waits until a reader of the log has reached a position, for so many seconds; whether it has.
Reached = Callable[[int, float], Awaitable[bool]]


async def ensure(headers: Mapping[str, str], reached: Reached, wait_s_max: float) -> None:
    """Return once the read models are as far as the request asks for.

    Raises Invalid, or Unavailable when they are not there in time.
    """
    wanted = headers.get(MIN_POSITION)
    if wanted is None:
        return
    digits = wanted.isascii() and wanted.isdigit() and len(wanted) <= len(str(BIGGEST))
    if not digits or int(wanted) > BIGGEST:
        raise Invalid(
            "min_position_invalid", "`Daybook-Min-Position` takes a position: a whole number."
        )
    wait_s = preferred_wait_s(headers, wait_s_max)
    timeout_s = WAIT_DEFAULT_S if wait_s is None else wait_s
    if not await reached(int(wanted), timeout_s):
        detail = f"The read models had not reached position {wanted} within {timeout_s:g} s."
        raise Unavailable("position_not_reached", detail)

"""What became of each request of a load: accepted, shed, failed, unsent, or never answered."""

import time
from collections import Counter
from typing import NamedTuple

import msgspec

from benchmarks.latency import Latency, latency

# Heads of answers are looked at in lower case.
ACCEPTED = b"http/1.1 202"
SHED = b"http/1.1 503"
RETRY_AFTER = b"retry-after:"
STATUS = slice(9, 12)
LOST = "no answer"


class Outcome(msgspec.Struct, frozen=True):
    """What was seen of the requests that were due after the warm-up and before the end.

    `per_second` is of what was accepted in that time. `latency` counts from when requests were
    due, `service` from when they were sent, both of the accepted ones. `cpu_share` is of one core.
    """

    seconds: float
    due: int
    accepted: int
    shed: int
    unsent: int
    failures: dict[str, int]
    per_second: float
    latency: Latency
    service: Latency
    shed_latency: Latency
    cpu_share: float


class Sent(NamedTuple):
    """A request under way; `due` and `at` are the clock's seconds."""

    number: int
    due: float
    at: float


class Tally:
    """Counts the requests that are due between `begin` and `end`; all accepted ones are kept."""

    def __init__(self) -> None:
        self.begin, self.end = float("inf"), float("inf")
        self.accepted: list[int] = []
        self._in_time = 0
        self._unsent = 0
        self._latencies_s: list[float] = []
        self._services_s: list[float] = []
        self._shed_s: list[float] = []
        self._failures: Counter[str] = Counter()

    def answered(self, sent: Sent, head: bytes) -> None:
        """Count an answer by the head of it, in lower case."""
        now = time.perf_counter()
        accepted = head.startswith(ACCEPTED)
        if accepted:
            self.accepted.append(sent.number)
            self._in_time += self.begin <= now < self.end
        if not self._counts(sent.due):
            return
        if accepted:
            self._latencies_s.append(now - sent.due)
            self._services_s.append(now - sent.at)
        elif head.startswith(SHED) and RETRY_AFTER in head:
            self._shed_s.append(now - sent.at)
        else:
            self._failures[head[STATUS].decode()] += 1

    def lost(self, sent: Sent) -> None:
        """Count a request that was not answered."""
        if self._counts(sent.due):
            self._failures[LOST] += 1

    def unsent(self, due: float) -> None:
        """Count a request for which there was no connection in time."""
        self._unsent += self._counts(due)

    def outcome(self, cpu_s: float) -> Outcome:
        """Return everything, with the CPU that the load took meanwhile."""
        seconds = self.end - self.begin
        accepted, shed = len(self._latencies_s), len(self._shed_s)
        return Outcome(
            seconds=seconds,
            due=accepted + shed + self._unsent + self._failures.total(),
            accepted=accepted,
            shed=shed,
            unsent=self._unsent,
            failures=dict(self._failures),
            per_second=self._in_time / seconds,
            latency=latency(self._latencies_s),
            service=latency(self._services_s),
            shed_latency=latency(self._shed_s),
            cpu_share=cpu_s / seconds,
        )

    def _counts(self, due: float) -> bool:
        return self.begin <= due < self.end

"""Count the outcome of each request of a load: accepted, shed, failed, unsent or unanswered."""

import time
from collections import Counter
from typing import NamedTuple

import msgspec

from benchmarks.latency import Latency, latency

# The heads of answers are converted to lower case before they are compared.
ACCEPTED = b"http/1.1 202"
SHED = b"http/1.1 503"
RETRY_AFTER = b"retry-after:"
STATUS = slice(9, 12)
LOST = "no answer"


class Outcome(msgspec.Struct, frozen=True):
    """The outcome of the requests that were due after the warm-up and before the end.

    `per_second` is the rate of accepted requests in that time. Of accepted requests, `latency`
    counts from the moment a request was due, and `service` from the moment it was sent. The load
    itself used `cpu_share` of one core.
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


class SentRequest(NamedTuple):
    """A request under way; `due` and `sent_at` are seconds of `time.perf_counter`."""

    number: int
    due: float
    sent_at: float


class Tally:
    """Counts the requests that are due between `begin` and `end`.

    `accepted` holds the numbers of all accepted requests, whenever they were due.
    """

    def __init__(self) -> None:
        self.begin, self.end = float("inf"), float("inf")
        self.accepted: list[int] = []
        self._in_time = 0
        self._unsent = 0
        self._latencies_s: list[float] = []
        self._services_s: list[float] = []
        self._shed_s: list[float] = []
        self._failures: Counter[str] = Counter()

    def answered(self, sent: SentRequest, head: bytes) -> None:
        """Count an answer by its head, which is in lower case."""
        now = time.perf_counter()
        accepted = head.startswith(ACCEPTED)
        if accepted:
            self.accepted.append(sent.number)
            self._in_time += self.begin <= now < self.end
        if not self._counts(sent.due):
            return
        if accepted:
            self._latencies_s.append(now - sent.due)
            self._services_s.append(now - sent.sent_at)
        elif head.startswith(SHED) and RETRY_AFTER in head:
            self._shed_s.append(now - sent.sent_at)
        else:
            self._failures[head[STATUS].decode()] += 1

    def lost(self, sent: SentRequest) -> None:
        """Count a request that got no answer."""
        if self._counts(sent.due):
            self._failures[LOST] += 1

    def unsent(self, due: float) -> None:
        """Count a request for which no connection became free in time."""
        self._unsent += self._counts(due)

    def outcome(self, cpu_s: float) -> Outcome:
        """Return all counts; `cpu_s` is the CPU that the load used between `begin` and `end`."""
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

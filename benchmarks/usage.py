"""The resources that a load uses: CPU, memory, disk, write-ahead log, SQS and Valkey requests."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeVar

import msgspec
import psutil
import redis

from benchmarks.environment import SQL, Bench
from benchmarks.processes import metrics
from runtime import database

N = TypeVar("N", int, float)
MEGABYTE = 1_000_000
SQS = {
    "bench_sqs_requests_total": "requests",
    "bench_sqs_billed_total": "billed",
    "bench_sqs_bytes_total": "bytes",
}
CACHE = {
    "total_commands_processed": "commands",
    "total_net_input_bytes": "bytes in",
    "total_net_output_bytes": "bytes out",
}


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The counts since the servers started, or between two moments.

    `cpu_s` and `memory_mb` are by process, `relations` in bytes by table and index. `sqs` is by
    operation, then by `requests`, `billed` requests (as AWS counts them) or `bytes`. Memory is the
    proportional set size (PSS), always that of the later moment.
    """

    seconds: float
    events: int
    wal_bytes: int
    relations: dict[str, int]
    cpu_s: dict[str, float]
    memory_mb: dict[str, float]
    sqs: dict[str, dict[str, float]]
    cache: dict[str, float]

    def since(self, before: "Usage") -> "Usage":
        """Return the counts between `before` and this."""
        return Usage(
            seconds=self.seconds - before.seconds,
            events=self.events - before.events,
            wal_bytes=self.wal_bytes - before.wal_bytes,
            relations=_difference(self.relations, before.relations),
            cpu_s=_difference(self.cpu_s, before.cpu_s),
            memory_mb=self.memory_mb,
            sqs={
                operation: _difference(counts, before.sqs.get(operation, {}))
                for operation, counts in self.sqs.items()
            },
            cache=_difference(self.cache, before.cache),
        )

    def sqs_total(self, what: str) -> float:
        """Return the `requests`, `billed` requests or `bytes` of all operations."""
        return sum(counts.get(what, 0.0) for counts in self.sqs.values())


async def read_usage(bench: Bench) -> Usage:
    """Return the counts up to now."""
    connection = await database.connect(bench.service.database_url)
    try:
        positions = await connection.fetchrow(SQL["positions"])
        sizes = await connection.fetch(SQL["relation_sizes"])
        wal_bytes: int = await connection.fetchval(SQL["wal_bytes"])
    finally:
        await connection.close()
    assert positions is not None
    families = {name: _family(pid) for name, pid in bench.service.pids().items()}
    return Usage(
        seconds=time.perf_counter(),
        events=positions["head"],
        wal_bytes=wal_bytes,
        relations={row["name"]: row["bytes"] for row in sizes},
        cpu_s={name: sum(map(_cpu_s, family)) for name, family in families.items()},
        memory_mb={name: sum(map(_memory_mb, family)) for name, family in families.items()},
        sqs=await _sqs(bench),
        cache=_cache(bench.service.cache_url),
    )


async def _sqs(bench: Bench) -> dict[str, dict[str, float]]:
    counts: dict[str, dict[str, float]] = {}
    for port in bench.metrics_ports:
        for name, labels, value in await metrics(port):
            if name in SQS:
                of_operation = counts.setdefault(labels["operation"], {})
                of_operation[SQS[name]] = of_operation.get(SQS[name], 0.0) + value
    return counts


def _cache(url: str) -> dict[str, float]:
    client = redis.Redis.from_url(url)
    try:
        info = client.info("stats")
    finally:
        client.close()
    assert isinstance(info, dict)
    return {ours: float(info[theirs]) for theirs, ours in CACHE.items()}


def _family(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants: PostgreSQL has one process for each connection."""
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def _cpu_s(process: psutil.Process) -> float:
    """Return the CPU of a process and of those of its children that have ended."""
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system
    return 0.0


def _memory_mb(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        memory = process.memory_full_info()
        return float(getattr(memory, "pss", memory.rss)) / MEGABYTE
    return 0.0


def _difference(after: Mapping[str, N], before: Mapping[str, N]) -> dict[str, N]:
    return {name: value - before.get(name, 0) for name, value in after.items()}

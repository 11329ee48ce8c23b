"""The arithmetic: from what was counted, sampled and logged to microseconds and bytes a transfer.

    a Python process    its CPU, divided by the samples of each stage
    PostgreSQL          what its log says of each stage, as fast as the machine was while nobody
                        watched; the rest of its CPU is the last line
    SQS API, Valkey     whole

So the lines add up to the CPU of all processes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from benchmarks.spent import Usage
from benchmarks.stages.places import PLACES
from benchmarks.stages.spied import UNNAMED
from benchmarks.stages.statements import OTHER, STATEMENTS

POSTGRES = "postgres"
REST = "protocol, its own processes"
WHOLE = "all of it"
SQS_CLIENT = "SQS client"

# The microseconds that a stage, (process, name), took alone.
Limits = Mapping[tuple[str, str], float]


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One line: CPU and bytes of a transfer; what the same took alone, if that was measured.

    The bytes are of the write-ahead log, of messages to SQS, or of what Valkey was sent.
    """

    process: str
    name: str
    us: float
    bytes: float | None = None
    limit_us: float | None = None


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What a transfer takes under one load, stage by stage; `generator_us` is not among them."""

    title: str
    transfers: int
    per_second: float
    stages: list[Stage]
    generator_us: float | None = None

    @property
    def total_us(self) -> float:
        """Return the CPU of all processes."""
        return sum(stage.us for stage in self.stages)

    @property
    def unnamed_us(self) -> float:
        """Return what no table of stages knows."""
        return sum(stage.us for stage in self.stages if stage.name in (UNNAMED, OTHER))

    @property
    def limits_us(self) -> float:
        """Return the limits alone, as if nothing else took anything."""
        return sum(stage.limit_us or 0.0 for stage in self.stages)

    @property
    def least_us(self) -> float:
        """Return the limits, and what has none as it was measured."""
        return sum(s.us if s.limit_us is None else s.limit_us for s in self.stages)


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a load: samples by process and stage; CPU by stage of PostgreSQL.

    The latter is of a load that took what is in `logged`.
    """

    samples: Mapping[str, Counter[str]]
    logged: Usage
    postgres_s: Mapping[str, float]


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The same load without that: what it took, and the bytes that statements wrote ahead.

    `wal_bytes` is None if the server does not count statements.
    """

    title: str
    per_second: float
    used: Usage
    wal_bytes: Mapping[str, int] | None
    generator_us: float | None = None


def budget(loaded: Loaded, watched: Watched, limits: Limits) -> Budget:
    """Return the budget of a transfer: each is one event of the load."""
    stages = [
        *(line for process in PLACES for line in _python(process, loaded.used, watched)),
        *_postgres(loaded, watched),
        *(
            Stage(process=process, name=WHOLE, us=_us(loaded.used, process), bytes=sent)
            for process, sent in (("valkey", _valkey_bytes(loaded.used)), ("sqs", None))
        ),
    ]
    return Budget(
        title=loaded.title,
        transfers=loaded.used.events,
        per_second=loaded.per_second,
        stages=[_limited(stage, limits) for stage in stages],
        generator_us=loaded.generator_us,
    )


def _python(process: str, used: Usage, watched: Watched) -> Sequence[Stage]:
    samples = watched.samples[process]
    assert samples.total(), f"{process} was never seen running"
    each_us = _us(used, process) / samples.total()
    sent = used.sqs["SendMessage"]["bytes"] / used.events
    return [
        Stage(
            process=process,
            name=name,
            us=samples[name] * each_us,
            bytes=sent if (process, name) == ("relay", SQS_CLIENT) else None,
        )
        for name in (*PLACES[process], UNNAMED)
    ]


def _postgres(loaded: Loaded, watched: Watched) -> Sequence[Stage]:
    used, wal = loaded.used, loaded.wal_bytes
    # Machines drift within seconds: what everybody else took tells how slow this one was then.
    slower = _others_us(watched.logged) / _others_us(used)
    known = [*(name for stages in STATEMENTS.values() for name in stages), OTHER]
    lines = [
        Stage(
            process=POSTGRES,
            name=name,
            us=1e6 * watched.postgres_s.get(name, 0.0) / watched.logged.events / slower,
            bytes=None if wal is None else wal.get(name, 0) / used.events,
        )
        for name in known
    ]
    rest_us = _us(used, POSTGRES) - sum(line.us for line in lines)
    rest_bytes = None if wal is None else (used.wal_bytes - sum(wal.values())) / used.events
    return [*lines, Stage(process=POSTGRES, name=REST, us=rest_us, bytes=rest_bytes)]


def _us(used: Usage, process: str) -> float:
    return 1e6 * used.cpu_s[process] / used.events


def _others_us(used: Usage) -> float:
    return sum(_us(used, process) for process in used.cpu_s if process != POSTGRES)


def _valkey_bytes(used: Usage) -> float:
    return used.cache["bytes in"] / used.events


def _limited(stage: Stage, limits: Limits) -> Stage:
    limit = limits.get((stage.process, stage.name))
    return stage if limit is None else msgspec.structs.replace(stage, limit_us=limit)

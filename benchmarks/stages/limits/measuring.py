"""All limits, in one go, and the stages that they are the limits of."""

import msgspec

from benchmarks.measures.singles import CONNECTIONS
from benchmarks.service import Bench
from benchmarks.stages.limits import Limit, beside, http, memory, postgres
from benchmarks.stages.limits.clock import Spent
from command_side.relay import ROUND_EVENTS_MAX
from events import codec, log
from events.types import TransferPosted
from runtime import database
from runtime.loop import collect_garbage_rarely

# A commit of the load of batches, and a page that the projector finds then.
PAGE_EVENTS = 500
SINGLY_SHARE = 10


async def measured(bench: Bench, transfers: int, seconds: int) -> list[Limit]:
    """Measure every limit with so many transfers, the last ones of the log, or for so long.

    In this process: it collects garbage as rarely as the product's processes from here on.
    """
    collect_garbage_rarely()
    return [
        *await _http(seconds),
        *await _claims(bench, transfers),
        *await _log(bench, transfers),
    ]


async def _http(seconds: int) -> list[Limit]:
    uvicorn, routed = [await http.server_us(name, seconds) for name in ("uvicorn", "routed")]
    return [
        Limit(
            name="uvicorn, httptools, uvloop: a constant 202",
            us=uvicorn,
            stages=[("api", "HTTP: event loop, parse, answer")],
            batched=False,
        ),
        Limit(
            name="one empty handler, found and called as the product's, beyond that",
            us=routed - uvicorn,
            stages=[("api", "routing")],
            batched=False,
        ),
    ]


async def _claims(bench: Bench, transfers: int) -> list[Limit]:
    together = await beside.claiming(bench, transfers, CONNECTIONS)
    singly_count = transfers // SINGLY_SHARE
    singly = await beside.claiming(bench, singly_count, 1)
    name = f"claims, {CONNECTIONS} a round trip"
    return [
        Limit(
            name=f"{name}: client",
            us=together.own_us(transfers),
            stages=[("api", "idempotency")],
            batched=False,
        ),
        Limit(
            name=f"{name}: Valkey",
            us=together.other_us(transfers),
            stages=[("valkey", "all of it")],
            batched=False,
        ),
        Limit(name="a claim a round trip: client", us=singly.own_us(singly_count)),
        Limit(name="a claim a round trip: Valkey", us=singly.other_us(singly_count)),
    ]


async def _log(bench: Bench, transfers: int) -> list[Limit]:
    """Measure what works on the log's last transfers."""
    connection = await database.connect(bench.service.database_url)
    try:
        after = (await log.head(connection)).position - transfers
        rows = [
            row
            for position in range(after, after + transfers, ROUND_EVENTS_MAX)
            for row in await log.rows_after(connection, position, ROUND_EVENTS_MAX)
        ]
    finally:
        await connection.close()
    events = [codec.recorded(row) for row in rows]
    assert {type(recorded.event) for recorded in events} == {TransferPosted}
    each = range(0, transfers, PAGE_EVENTS)
    balances = memory.opened(events)
    opened = [msgspec.structs.replace(balances[key]) for key in sorted(balances)]
    collect_garbage_rarely()  # What is there by now is kept to the end.
    folding, packing = Spent(), Spent()
    folded = memory.folded([events[n : n + PAGE_EVENTS] for n in each], balances, folding)
    pages = [rows[n : n + PAGE_EVENTS] for n in each]
    written = await postgres.writing(bench, pages, folded, opened)
    read = await postgres.reading(bench, after, transfers, PAGE_EVENTS)
    queued = await beside.queueing(bench, memory.packed(rows, packing))
    return [
        *_decided(transfers),
        *_written(written, transfers),
        Limit(
            name="fold",
            us=folding.own_us(transfers),
            stages=[("project", "fold")],
        ),
        *_read(read, transfers),
        Limit(name="envelopes", us=packing.own_us(transfers), stages=[("relay", "envelopes")]),
        *_queued(queued, transfers),
    ]


def _decided(transfers: int) -> list[Limit]:
    decided = memory.deciding(transfers)
    return [
        Limit(name="body to command", us=decided.body_us, stages=[("api", "body to command")]),
        Limit(name="decide", us=decided.decide_us, stages=[("api", "decide")]),
        Limit(name="encode", us=decided.encode_us, stages=[("api", "encode")]),
    ]


def _written(written: postgres.Writing, transfers: int) -> list[Limit]:
    tables = (written.entries, written.transactions, written.balances)
    server = [
        Limit(
            name=f"{name}, {PAGE_EVENTS} transfers a commit: PostgreSQL",
            us=spent.other_us(transfers),
            stages=[("postgres", stage)],
        )
        for name, spent, stage in (
            ("append to events.daybook_events", written.log, "append: insert"),
            ("COPY read.entries", written.entries, "projector: entries"),
            ("COPY read.transactions", written.transactions, "projector: transactions"),
            ("UPDATE read.balances", written.balances, "projector: balances"),
        )
    ]
    return [
        *server,
        Limit(
            name="append to events.daybook_events: client",
            us=written.log.own_us(transfers),
            stages=[("api", "insert")],
        ),
        Limit(
            name="the read models: client",
            us=sum(spent.own_us(transfers) for spent in tables),
            stages=[("project", "writing read models")],
        ),
    ]


def _read(read: postgres.Reading, transfers: int) -> list[Limit]:
    return [
        Limit(
            name="reading the log as stored: PostgreSQL",
            us=read.stored.other_us(transfers),
            stages=[("postgres", "relay: reading the log")],
        ),
        Limit(
            name="reading the log as stored: client",
            us=read.stored.own_us(transfers),
            stages=[("relay", "reading the log")],
        ),
        Limit(
            name="reading the log as events: PostgreSQL",
            us=read.events.other_us(transfers),
            stages=[("postgres", "projector: reading the log")],
        ),
        Limit(
            name="reading the log as events: client",
            us=read.events.own_us(transfers),
            stages=[("project", "reading the log")],
        ),
    ]


def _queued(queued: beside.Queueing, transfers: int) -> list[Limit]:
    return [
        Limit(
            name="sending full envelopes: client",
            us=queued.sending.own_us(transfers),
            stages=[("relay", "SQS client")],
        ),
        Limit(
            name="receiving and deleting them: client",
            us=queued.receiving.own_us(transfers),
            stages=[("project", "SQS client")],
        ),
        Limit(
            name="sending, receiving, deleting: SQS API",
            us=queued.sending.other_us(transfers) + queued.receiving.other_us(transfers),
            stages=[("sqs", "all of it")],
        ),
    ]

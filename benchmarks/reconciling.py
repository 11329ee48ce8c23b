"""What reconciling costs: a whole log, and verifying behind the projector.

python -m benchmarks.reconciling whole      DATABASE_URL
python -m benchmarks.reconciling continuous DATABASE_URL

Both read a database that has a log and its read models, and change no view. `continuous` begins at
the beginning of the log and keeps its place, so it wants a database of its own.
"""

import resource
import sys
import time
from uuid import uuid4

import msgspec
import uvloop

from events import checkpoints, codec, log
from events.replay import Books
from projections.auditing.compare import Run, Scope
from projections.auditing.continuous import Auditor
from projections.auditing.reconcile import ROLE, Means, reconcile_whole
from runtime import database
from runtime.loop import collect_garbage_rarely
from runtime.settings import Settings

FOLDED_EVENTS_MAX = 200_000
NOWHERE = "http://127.0.0.1:1/000000000000/nothing.fifo"


class Whole(msgspec.Struct, frozen=True):
    """Events a second: of decoding and folding alone, by the core's own clock; of all of it."""

    events: int
    fold_events_per_s: float
    events_per_s: float
    cpu_us_per_event: float
    peak_mb: float


class Continuous(msgspec.Struct, frozen=True):
    """What verifying an event costs the auditor's process, and how many it does a second."""

    events: int
    events_per_s: float
    cpu_us_per_event: float


async def whole(url: str, *, overlapped: bool = True) -> Whole:
    """Reconcile everything; `overlapped`, the log is read on a connection of its own."""
    connection = await database.connect(url, ROLE)
    beside = await database.connect(url, ROLE)
    fold_per_s = await _folded(connection)
    run = Run(Scope(), Books())
    began_s, cpu_s = time.perf_counter(), time.process_time()
    means = Means(connection, beside if overlapped else None)
    report = await reconcile_whole(means, uuid4(), run)
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    await connection.close()
    await beside.close()
    assert report.clean, report.kinds
    return Whole(
        report.events_read,
        fold_per_s,
        report.events_read / took_s,
        cpu_s / report.events_read * 1e6,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


async def continuous(url: str) -> Continuous:
    """Verify everything that the projector has done."""
    auditor = Auditor(Settings(database_url=url, cache_url=NOWHERE, queue_url=NOWHERE))
    events = 0
    began_s, cpu_s = time.perf_counter(), time.process_time()
    while count := await auditor.run_once():
        events += count
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    await auditor.stop()
    return Continuous(events, events / took_s, cpu_s / events * 1e6)


async def _folded(connection: database.Connection) -> float:
    """Return events a second of decoding and folding, without reading or comparing them."""
    checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
    books = Books()
    folded, took_s, position = 0, 0.0, 0
    while position < min(checkpoint, FOLDED_EVENTS_MAX):
        rows = await log.rows_after(connection, position, log.PAGE_EVENTS_MAX)
        began_s = time.process_time()
        for row in rows:
            books.take(codec.recorded(row))
        took_s += time.process_time() - began_s
        folded += len(rows)
        position = rows[-1]["notification_id"]
    return folded / took_s


def main() -> None:
    """Run one from the command line."""
    collect_garbage_rarely()
    match sys.argv[1:]:
        case ["whole", url]:
            result: Whole | Continuous = uvloop.run(whole(url))
        case ["continuous", url]:
            result = uvloop.run(continuous(url))
        case _:
            sys.exit(__doc__)
    print(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    main()

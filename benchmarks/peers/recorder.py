"""The `eventsourcing` library, with its own PostgreSQL recorder and its own ProjectionRunner.

Threads append one event in each transaction, as applications of the library do. Then a projection
that keeps nothing but its position reads all events.

    python -m benchmarks.peers.recorder OPTIONS  →  RecorderOutcome, both JSON
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import msgspec
from eventsourcing.application import Application
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import register_topic
from psycopg.conninfo import conninfo_to_dict

from benchmarks import environment
from benchmarks.environment import Bench
from benchmarks.latency import Latency, latency
from benchmarks.processes import run_module
from benchmarks.result import Row, Sizes

DATABASE = "bench_recorder"
THREADS = 4
WAIT_S = 120.0


class RecorderOptions(msgspec.Struct, frozen=True):
    """The database, and how long to append to it."""

    url: str
    seconds: float


class RecorderOutcome(msgspec.Struct, frozen=True):
    """The rates of appending and of projecting; the latency is that of an append."""

    appended_per_second: float
    projected_per_second: float
    latency: Latency


@dataclass(frozen=True)
class PostedEvent:
    """An event about as large as ours."""

    originator_id: UUID
    originator_version: int
    ledger: str
    key: str
    postings: list[dict[str, str]]


class PeerApplication(Application[UUID]):
    """An application of the library, unchanged."""


class TrackingProjection(Projection[PostgresTrackingRecorder]):
    """A projection that keeps nothing but its position."""

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:  # noqa: ANN401, ARG002
        """Store the position."""
        self.view.insert_tracking(tracking)


async def measure(bench: Bench, sizes: Sizes) -> list[Row]:
    """Return events a second, appended and then projected."""
    url = await environment.create_database(bench, DATABASE)
    outcome = await run_module(__name__, RecorderOptions(url, sizes.peer_s), RecorderOutcome)
    await environment.drop_database(bench, DATABASE)
    return [
        Row(
            key="recorder",
            name="eventsourcing's recorder, an event each",
            figure=outcome.appended_per_second,
            latency=outcome.latency,
            note=f"{THREADS} threads",
        ),
        Row(
            key="runner",
            name="  its ProjectionRunner, tracking only",
            figure=outcome.projected_per_second,
        ),
    ]


def press(options: RecorderOptions) -> RecorderOutcome:
    """Append for `options.seconds`, then project everything."""
    register_topic("posted", PostedEvent)
    parts = conninfo_to_dict(options.url)
    env = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts["host"]),
        "POSTGRES_PORT": str(parts["port"]),
        "POSTGRES_USER": str(parts["user"]),
        "POSTGRES_PASSWORD": "",
    }
    with PeerApplication(env) as application, ThreadPoolExecutor(THREADS) as threads:
        began = time.perf_counter()
        end = began + options.seconds
        each = list(threads.map(lambda _: _append(application, end), range(THREADS)))
        appended_s = time.perf_counter() - began
        last = application.recorder.max_notification_id()
    assert last is not None
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=PeerApplication,
        projection_class=TrackingProjection,
        view_class=PostgresTrackingRecorder,
        env=env,
    ) as runner:
        runner.wait(last, timeout=WAIT_S)
    seconds = [second for of_thread in each for second in of_thread]
    projected_s = time.perf_counter() - began
    return RecorderOutcome(len(seconds) / appended_s, len(seconds) / projected_s, latency(seconds))


def _append(application: PeerApplication, end: float) -> list[float]:
    seconds: list[float] = []
    postings = [{"debit": "world", "credit": "account-1", "amount": "1234", "currency": "USD"}]
    while (began := time.perf_counter()) < end:
        event = PostedEvent(uuid4(), 1, "bench", f"bench-{len(seconds)}", postings)
        application.recorder.insert_events([application.mapper.to_stored_event(event)])
        seconds.append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    options = msgspec.json.decode(sys.argv[1], type=RecorderOptions)
    print(msgspec.json.encode(press(options)).decode())

"""The `eventsourcing` library as it comes: its own PostgreSQL recorder, its own ProjectionRunner.

Threads append one event a transaction, as its applications do; then a projection that only tracks
how far it is, the least that one can do, reads them all.

    python -m benchmarks.peers.recorder ASKED  →  Outcome, both JSON
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

from benchmarks import service
from benchmarks.children import told
from benchmarks.latency import Latency, latency
from benchmarks.result import Row, Sizes
from benchmarks.service import Bench

DATABASE = "bench_recorder"
THREADS = 4
WAIT_S = 120.0


class Asked(msgspec.Struct, frozen=True):
    """Where to append, and for how long."""

    url: str
    seconds: float


class Outcome(msgspec.Struct, frozen=True):
    """Events a second, appended and then projected; the latency is that of an append."""

    appended_per_second: float
    projected_per_second: float
    latency: Latency


@dataclass(frozen=True)
class Posted:
    """An event about as large as ours."""

    originator_id: UUID
    originator_version: int
    ledger: str
    key: str
    postings: list[dict[str, str]]


class Peer(Application[UUID]):
    """A stock application."""


class Followed(Projection[PostgresTrackingRecorder]):
    """A stock projection that keeps nothing but its place."""

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:  # noqa: ANN401, ARG002
        """Track it."""
        self.view.insert_tracking(tracking)


async def measure(bench: Bench, sizes: Sizes) -> list[Row]:
    """Return events a second, appended and then projected."""
    url = await service.create_database(bench, DATABASE)
    outcome = await told(__name__, Asked(url, sizes.peer_s), Outcome)
    await service.drop_database(bench, DATABASE)
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


def press(asked: Asked) -> Outcome:
    """Append for `asked.seconds`, then project everything."""
    register_topic("posted", Posted)
    parts = conninfo_to_dict(asked.url)
    env = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts["host"]),
        "POSTGRES_PORT": str(parts["port"]),
        "POSTGRES_USER": str(parts["user"]),
        "POSTGRES_PASSWORD": "",
    }
    with Peer(env) as application, ThreadPoolExecutor(THREADS) as threads:
        began = time.perf_counter()
        end = began + asked.seconds
        each = list(threads.map(lambda _: _append(application, end), range(THREADS)))
        appended_s = time.perf_counter() - began
        last = application.recorder.max_notification_id()
    assert last is not None
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=Peer,
        projection_class=Followed,
        view_class=PostgresTrackingRecorder,
        env=env,
    ) as runner:
        runner.wait(last, timeout=WAIT_S)
    seconds = [second for of_thread in each for second in of_thread]
    projected_s = time.perf_counter() - began
    return Outcome(len(seconds) / appended_s, len(seconds) / projected_s, latency(seconds))


def _append(application: Peer, end: float) -> list[float]:
    seconds: list[float] = []
    postings = [{"debit": "world", "credit": "account-1", "amount": "1234", "currency": "USD"}]
    while (began := time.perf_counter()) < end:
        event = Posted(uuid4(), 1, "bench", f"bench-{len(seconds)}", postings)
        application.recorder.insert_events([application.mapper.to_stored_event(event)])
        seconds.append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    asked_for = msgspec.json.decode(sys.argv[1], type=Asked)
    print(msgspec.json.encode(press(asked_for)).decode())

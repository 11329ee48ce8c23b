"""One of Daybook's workers, unchanged but for one thing: its SQS requests are counted.

Counted where botocore sends them, retries included, and served with the process's own metrics.

    python -m benchmarks.counted relay|project
"""

import math
from typing import Any
from unittest import mock

# Only to put handlers on its events; what speaks SQS is still runtime.queue.
from aiobotocore.session import get_session
from prometheus_client import Counter

from daybook.cli.main import main

# AWS bills a request as many times as it carries 64 KiB of messages, begun ones included.
BILLED_BYTES = 65_536
REQUESTS = Counter("bench_sqs_requests", "Requests sent to SQS.", ["operation"])
BILLED = Counter("bench_sqs_billed", "Requests as AWS bills them.", ["operation"])
BYTES = Counter("bench_sqs_bytes", "Bytes of messages, sent or received.", ["operation"])


def counted_session() -> Any:  # noqa: ANN401 - botocore's sessions have no type
    """Return a session whose clients' requests are counted."""
    session = get_session()
    session.register("before-send.sqs", _request)
    session.register("before-parameter-build.sqs.SendMessage", _sent)
    session.register("after-call.sqs.ReceiveMessage", _received)
    return session


def _request(event_name: str, **_: object) -> None:
    operation = event_name.rpartition(".")[2]
    REQUESTS.labels(operation).inc()
    BILLED.labels(operation).inc()


def _sent(params: dict[str, Any], **_: object) -> None:
    _carried("SendMessage", len(params["MessageBody"].encode()))


def _received(parsed: dict[str, Any], **_: object) -> None:
    bodies = (message["Body"] for message in parsed.get("Messages", ()))
    _carried("ReceiveMessage", sum(len(body.encode()) for body in bodies))


def _carried(operation: str, size: int) -> None:
    """Count messages, and the billed requests beyond the one that every request is anyway."""
    BYTES.labels(operation).inc(size)
    BILLED.labels(operation).inc(max(0, math.ceil(size / BILLED_BYTES) - 1))


if __name__ == "__main__":
    with mock.patch("runtime.queue.get_session", counted_session):
        main()

"""Run one of Daybook's workers, and count its SQS requests.

They are counted where botocore sends them, retries included, and served with the metrics of the
process. Everything else is as in the product.

    python -m benchmarks.sqs_counting_worker relay|project
"""

import math
from typing import Any
from unittest import mock

# Only to register handlers for its events; runtime.queue still makes all requests.
from aiobotocore.session import get_session
from prometheus_client import Counter

from daybook.cli.main import main

# AWS bills each 64 KiB of messages, rounded up, as a request.
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
    """Count the bytes of messages, and the requests billed beyond the first one."""
    BYTES.labels(operation).inc(size)
    BILLED.labels(operation).inc(max(0, math.ceil(size / BILLED_BYTES) - 1))


if __name__ == "__main__":
    with mock.patch("runtime.queue.get_session", counted_session):
        main()

"""The bill of a million transfers."""

import pytest

from benchmarks.cost import bill, prices_of
from benchmarks.usage import Usage

USED = Usage(
    seconds=10.0,
    events=2_000,
    wal_bytes=4_000_000,
    relations={"events.daybook_events": 1_000_000, "read.entries": 1_000_000},
    cpu_s={"api": 3.6, "relay": 0.9, "postgres": 1.8, "valkey": 9.0, "sqs": 9.0},
    memory_mb={"api": 400.0, "relay": 100.0, "postgres": 900.0},
    sqs={
        "SendMessage": {"requests": 10.0, "billed": 40.0, "bytes": 2_000_000.0},
        "DeleteMessageBatch": {"requests": 10.0, "billed": 10.0},
    },
    cache={"commands": 2_000.0, "bytes in": 1_024_000.0, "bytes out": 1_024_000.0},
)


def test_a_bill_is_for_a_million_transfers() -> None:
    """Counts of 2,000 events are scaled by 500, and priced."""
    free = dict.fromkeys(
        ("fargate_vcpu_hour", "fargate_gb_hour", "rds_vcpu_hour", "elasticache_million_ecpus"), 0.0
    )
    given = {"sqs_fifo_million_requests": 2.0, "rds_gb_month": 0.5, "kept_months": 3.0}
    items = {item.name.strip(): item for item in bill(USED, prices_of(free | given))}
    assert items["SQS requests, as billed"].amount == 25_000
    assert items["SQS requests, as billed"].dollars == pytest.approx(0.05)
    assert items["API, relay, projector"].amount == pytest.approx(4.5 * 500 / 3_600)
    assert items["PostgreSQL"].amount == pytest.approx(1.8 * 500 / 3_600)
    assert items["their memory"].amount == pytest.approx(0.5 * 10 * 500 / 3_600)
    assert items["storage for 3 months"].amount == pytest.approx(1.0)
    assert items["storage for 3 months"].dollars == pytest.approx(1.5)
    assert items["Valkey"].amount == pytest.approx(1_000_000)
    assert sum(item.dollars for item in items.values()) == pytest.approx(1.55)


def test_half_used_processors_cost_twice_as_much() -> None:
    """CPU is paid for whether it is used or not."""
    full = {item.name: item for item in bill(USED, prices_of({"utilisation": 1.0}))}
    half = {item.name: item for item in bill(USED, prices_of({"utilisation": 0.5}))}
    assert half["PostgreSQL"].dollars == pytest.approx(2 * full["PostgreSQL"].dollars)
    assert half["SQS requests, as billed"] == full["SQS requests, as billed"]

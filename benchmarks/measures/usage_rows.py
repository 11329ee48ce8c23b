"""Rows for the resources that a load used for each event: SQS, CPU, write-ahead log, disk."""

from benchmarks.result import Row
from benchmarks.usage import Usage

BYTES_SHOWN_MIN = 0.5


def rows(key: str, load: str, used: Usage) -> list[Row]:
    """Return SQS requests, CPU and write-ahead log for each event of a load."""
    events = used.events
    operations = ", ".join(
        f"{counts['requests']:,.0f} {operation}"
        for operation, counts in used.sqs.items()
        if counts["requests"]
    )
    shares = sorted(used.cpu_s.items(), key=lambda item: -item[1])
    cpu = ", ".join(f"{name} {1e6 * cpu_s / events:,.0f}" for name, cpu_s in shares)
    return [
        Row(
            key=f"{key}-sqs",
            name=f"{load}: SQS requests",
            figure=used.sqs_total("requests") / events,
            unit="an event",
            note=f"{operations}; {events:,} events; goal ≤ 0.03",
        ),
        Row(
            key=f"{key}-cpu",
            name="  CPU, all processes",
            figure=1e6 * sum(used.cpu_s.values()) / events,
            unit="µs an event",
            note=cpu,
        ),
        Row(
            key=f"{key}-wal",
            name="  write-ahead log",
            figure=used.wal_bytes / events,
            unit="B an event",
        ),
    ]


def disk(used: Usage, transfers: int) -> list[Row]:
    """Return the bytes that a transfer adds to each table and index, the largest first."""
    each = {name: grown / transfers for name, grown in used.relations.items()}
    largest = sorted(each.items(), key=lambda item: -item[1])
    total = Row(
        key="disk",
        name="  tables and indexes",
        figure=sum(each.values()),
        unit="B a transfer",
        note=f"growth over {transfers:,} transfers",
    )
    return [
        total,
        *(
            Row(key=f"disk-{name}", name=f"    {name}", figure=size, unit="B a transfer")
            for name, size in largest
            if size >= BYTES_SHOWN_MIN
        ),
    ]

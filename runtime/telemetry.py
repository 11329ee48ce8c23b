"""Metrics (Prometheus) and logs (one JSON object a line on standard error).

Metrics are served by every process at `GET /metrics`; see `web/health.py`.
"""

import logging
import sys
from datetime import UTC, datetime

import msgspec
from prometheus_client import Counter, Gauge, Histogram

WAITING_COMMANDS = Gauge("daybook_waiting_commands", "Commands that wait for the writer.")
WAITING_TENANTS = Gauge("daybook_waiting_tenants", "Tenants whose commands wait for the writer.")
SHED_REQUESTS = Counter(
    "daybook_shed_requests", "Requests not decided for want of room.", ["reason"]
)
BATCH_COMMANDS = Histogram(
    "daybook_batch_commands",
    "Commands in one commit.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
BATCH_SECONDS = Histogram("daybook_batch_seconds", "From taking a batch to answering it.")
PUBLISHED_EVENTS = Counter("daybook_published_events", "Events sent to the queue.")
PUBLISHED_ENVELOPES = Counter("daybook_published_envelopes", "Messages sent to the queue.")
APPLIED_EVENTS = Counter("daybook_applied_events", "Events applied to the read models.")
SEAL_REFUSED = Gauge("daybook_seal_refused", "1 while what was sealed is contradicted.")
STREAMS = Gauge("daybook_streams", "Streams of events that are open.")
CHECKPOINT = Gauge("daybook_checkpoint_position", "Last position applied.", ["reader"])
AUDITED_EVENTS = Counter("daybook_audited_events", "Events verified behind the projector.")
DISCREPANCIES = Counter("daybook_discrepancies", "Differences between log and views.", ["kind"])
POISONED = Gauge("daybook_poisoned", "1 while an event cannot be applied, and the line stands.")


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return `record` as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def log_to_stderr(level: str) -> None:
    """Send every log of the process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)

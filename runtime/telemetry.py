"""Logs: one JSON object a line, on standard error.

Metrics (Prometheus) are declared in the modules that count them; `web/health.py` serves them.
"""

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

import msgspec

# The id of the request that is being answered; every log line of it has it.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request id, traceback.

    The last two are there only if there are such. `extra={"fields": {…}}` adds more members.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return `record` as one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def log_to_stderr(level: str) -> None:
    """Send every log of the process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)

"""The log is the outbox: publish it to SQS FIFO, in order, after a checkpoint of the relay.

    lock checkpoint (or skip) ─▶ read the log after it ─▶ pack ─▶ send ─▶ move checkpoint ─▶ COMMIT

Any number of relays are safe: one holds the row lock of the checkpoint and works; the others skip.
A crash anywhere repeats envelopes, and never skips one. Under load, rounds begin at least an
interval apart, so that envelopes are full and SQS requests are few.
"""

import asyncio
import time
from contextlib import suppress

from prometheus_client import Counter

from command_side.settings import CommandSettings
from events import checkpoints, log
from events.envelope import pack
from runtime import database
from runtime.queue import Queue

ROLE = "daybook_relay"
MESSAGE_GROUP = "daybook-log"
ROUND_EVENTS_MAX = 5_000
PUBLISHED_EVENTS = Counter("daybook_published_events", "Events sent to the queue.")
PUBLISHED_ENVELOPES = Counter("daybook_published_envelopes", "Messages sent to the queue.")


class Relay:
    """The connection of one relay process, and when its last round began."""

    def __init__(self, settings: CommandSettings, queue: Queue) -> None:
        self._settings = settings
        self._queue = queue
        self._connection: database.Connection | None = None
        self._appended = asyncio.Event()
        self._began_at = 0.0

    async def run_once(self) -> int:
        """Publish one round; return the number of events. Raises Unavailable."""
        since = time.monotonic() - self._began_at
        await asyncio.sleep(max(0.0, self._settings.relay_interval_ms / 1000 - since))
        self._appended.clear()
        try:
            return await self._publish(await self._connected())
        except database.CONNECTION_ERRORS as error:
            await self.close()
            raise database.unavailable(error) from error

    async def rest(self) -> None:
        """Return when the log has grown, or after the interval of the idle poll."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._appended.wait(), self._settings.idle_poll_s)

    async def close(self) -> None:
        """Close the connection, at once."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _publish(self, connection: database.Connection) -> int:
        began_at = time.monotonic()
        async with connection.transaction():
            position = await checkpoints.try_lock(connection, checkpoints.RELAY)
            if position is None:
                return 0
            rows = await log.rows_after(connection, position, ROUND_EVENTS_MAX)
            if not rows:
                return 0
            settings = self._settings
            for envelope in pack(rows, settings.envelope_bytes_max, settings.envelope_events_max):
                await self._queue.send(
                    envelope.body, MESSAGE_GROUP, f"{envelope.first}-{envelope.last}"
                )
                PUBLISHED_ENVELOPES.inc()
            last: int = rows[-1]["notification_id"]
            await checkpoints.move(connection, checkpoints.RELAY, last)
        self._began_at = began_at
        PUBLISHED_EVENTS.inc(len(rows))
        checkpoints.POSITION.labels(checkpoints.RELAY).set(last)
        return len(rows)

    async def _connected(self) -> database.Connection:
        if self._connection is None or self._connection.is_closed():
            # If the server crashes it may lose the last checkpoint: then envelopes are repeated.
            self._connection = await database.connect(
                self._settings.database_url, ROLE, synchronous_commit="off"
            )
            await database.listen(self._connection, "daybook_log", self._appended.set)
        return self._connection

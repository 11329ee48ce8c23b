"""The log as a recorder of the `eventsourcing` library (9.5), so that its tools work on it.

    PERSISTENCE_MODULE=events.recorder
    POSTGRES_SCHEMA=events
    POSTGRES_HOST=…       a host name, or the folder of a unix socket
    POSTGRES_USER=…       a member of daybook_auditor to read, of daybook_writer to append
    POSTGRES_DBNAME=…  POSTGRES_PORT=…  POSTGRES_PASSWORD=…

    class Daybook(Application[UUID]): ...   # the library derives daybook_events from the name

The rows are the library's own; reading is inherited unchanged. What differs is how an append takes
its positions: from the locked row `events.head`, like every other writer, instead of a table lock
and a sequence. So both kinds of writers may append at once, and positions stay gapless and in
commit order. It is synchronous and far slower than `command_side/writer`: no hot path comes here.

A projection of the library keeps its tracking table, and its views, where its own name says:
with `BALANCES_POSTGRES_SCHEMA` and `BALANCES_PERSISTENCE_MODULE=eventsourcing.postgres`, a
`Projection` called Balances never writes into the log's schema.
"""

from collections.abc import Sequence
from typing import Any

# Only the module: the library finds a persistence module's factory by looking for the one class.
from eventsourcing import postgres
from eventsourcing.persistence import (
    InterfaceError,
    OperationalError,
    ProgrammingError,
    StoredEvent,
)
from eventsourcing.utils import retry
from psycopg import RawCursor
from psycopg.rows import tuple_row

from runtime.sql import queries

SQL = queries("events")
SCHEMA = "events"
TABLE = "daybook_events"
CHANNEL = "daybook_log"
# As in every method of the library's recorders.
ATTEMPTS_MAX = 10
ATTEMPT_WAIT_S = 0.2
# How soon a stopped subscription's thread notices.
LISTEN_TIMEOUT_S = 0.1


class LogRecorder(postgres.PostgresApplicationRecorder):
    """Appends behind the head; everything else is the library's."""

    def __init__(
        self, datastore: postgres.PostgresDatastore, *, events_table_name: str = TABLE
    ) -> None:
        if (datastore.schema, events_table_name) != (SCHEMA, TABLE):
            raise ProgrammingError(
                f"The log is {SCHEMA}.{TABLE}, not {datastore.schema}.{events_table_name}: "
                f"set POSTGRES_SCHEMA={SCHEMA}, and name the application class Daybook."
            )
        super().__init__(datastore, events_table_name=events_table_name)
        self.channel_name = CHANNEL

    def create_table(self) -> None:
        """Do nothing, whatever CREATE_TABLE says: the log's tables belong to our migrations."""

    @retry((InterfaceError, OperationalError), max_attempts=ATTEMPTS_MAX, wait=ATTEMPT_WAIT_S)
    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        **_: Any,  # noqa: ANN401 - the library's signature
    ) -> Sequence[int] | None:
        """Append the events in order, all or none; return their positions.

        Raises IntegrityError if a stream already has one of these versions.
        """
        if not stored_events:
            return None
        columns = (
            [event.originator_id for event in stored_events],
            [event.originator_version for event in stored_events],
            [event.topic for event in stored_events],
            [event.state for event in stored_events],
        )
        wait_ms = str(1000 * self.datastore.lock_timeout)
        # A raw cursor takes PostgreSQL's own $1, so this SQL is linted and prepared like the rest.
        with (
            self.datastore.get_connection() as connection,
            connection.transaction(),
            RawCursor(connection, row_factory=tuple_row) as cursor,
        ):
            cursor.execute(SQL["limit_wait"], (wait_ms,))
            cursor.execute(SQL["record"], columns)
            return [position for (position,) in cursor]

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> "LogSubscription":
        """Return the events after `gt`, then those to come, as an endless iterator."""
        return LogSubscription(recorder=self, gt=gt, topics=topics)


class LogSubscription(postgres.PostgresSubscription):
    """The library's, without its gap: it reads first, and only then begins to listen.

    An event that commits between the two would stay unseen until the next one.
    """

    def _listen(self) -> None:
        try:
            with self._recorder.datastore.get_connection() as connection:
                connection.execute(f"LISTEN {CHANNEL}")
                self._has_been_notified.set()
                while not self._has_been_stopped and not self._thread_error:
                    for _ in connection.notifies(timeout=LISTEN_TIMEOUT_S, stop_after=1):
                        self._has_been_notified.set()
        except BaseException as error:  # noqa: BLE001 - raised again in the iterating thread
            self._thread_error = self._thread_error or error
            self.stop()


class Factory(postgres.PostgresFactory):
    """What `PERSISTENCE_MODULE=events.recorder` resolves to."""

    application_recorder_class: type[postgres.PostgresApplicationRecorder] = LogRecorder

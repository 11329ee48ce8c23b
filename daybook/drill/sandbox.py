"""The sandbox of the drill: a running Daybook, connections to it, and a backup of its log."""

# ruff: noqa: S608 - statements are made of the names of our own tables

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from auditing.differences import Scope
from auditing.rebuild.rebuild import rebuild
from auditing.reconcile.reconcile import Report, RunContext, reconcile_whole
from auditing.reconcile.run import Run
from auditing.repair import repair as repairs
from auditing.repair.plan import RowSelection
from auditing.roles import AUDITOR as AUDITOR_ROLE
from auditing.roles import REPAIRER
from command_side.relay import ROLE as RELAY_ROLE
from daybook.drill.load import DrillError
from daybook.embedded.servers import DUMMY_AWS
from daybook.embedded.up import Service, seal_key
from events import checkpoints
from projections.worker import ROLE as PROJECTOR_ROLE
from runtime import database, queue
from runtime.database import Connection
from runtime.problems import Rejected
from runtime.queue import Queue
from sealing.findings import Verdict
from sealing.key_file import signers
from sealing.signed_notes import Signer
from sealing.verify import verify_log

LOG = "events.daybook_events"
# Every reader of the log has a checkpoint of its own.
READERS = (
    checkpoints.RELAY,
    checkpoints.PROJECTOR,
    checkpoints.SEALER,
    checkpoints.AUDITOR,
)
VIEWS = (
    *(f"read.{name}" for name in ("accounts", "balances", "books", "entries")),
    *(f"read.{name}" for name in ("mentions", "moments", "standings", "transactions")),
    *(f"command.{name}" for name in ("accounts", "books", "standings")),
)
TRUTH = (LOG, "events.head", "seal.secret", "seal.tiles", "seal.checkpoints")
CHECKPOINTS = "events.checkpoints"
BACKUP = "drill_backup"
REFUSAL = "events.refuse_change()"
TRIGGER = "daybook_events_immutable"
WRITERS = "daybook_writer, daybook_projector, daybook_relay, PUBLIC"
# The drill waits for every reader before it checks, so no lag is allowed.
LAG_S_MAX = 0.0
SETTLED_S_MAX = 30.0
POLL_S = 0.02
WHO = "daybook drill"
BEHIND = f"""
    SELECT count(*) FROM {CHECKPOINTS}
    WHERE reader = ANY($1) AND position < (SELECT position FROM events.head)
"""
BUSY = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = $1 AND xact_start IS NOT NULL
"""
# The programs that can be paused, and their database roles.
ROLES = {"project": PROJECTOR_ROLE, "relay": RELAY_ROLE}


class Sandbox:
    """A running service, and what the drill needs to corrupt it and to check it."""

    def __init__(
        self,
        service: Service,
        sent: Path,
        connections: Sequence[Connection],
        messages: Queue,
        keys: Sequence[Signer],
    ) -> None:
        self.service = service
        self.sent = sent
        self.owner, self.auditor, self.repairer = connections
        self.queue = messages
        self._verifiers = [key.verifier for key in keys]
        self.keys = keys
        self._refusal = ""
        self._files: dict[Path, bytes] = {}
        self._views: dict[str, str] = {}

    async def reconciled(self) -> Report:
        """Compare every view with the log."""
        context = RunContext(self.auditor, lag_max=timedelta(seconds=LAG_S_MAX))
        return await reconcile_whole(context, uuid4(), Run(Scope()))

    async def verified(self) -> Verdict:
        """Compare the log with its seal, in the database and off the box."""
        return await verify_log(self.auditor, self._verifiers, [str(self.sent)])

    async def repaired(self) -> bool:
        """Repair what differs; return whether something differed and nothing differs any more."""
        done = await repairs.apply(
            self.repairer, RowSelection(), applied_by=WHO, reason="tamper drill"
        )
        return done is not None and done.check is not None and done.check.remaining == 0

    async def refuses_repair(self) -> bool:
        """Return whether a repair changes nothing: the log is unsound, or no view differs."""
        before = await self.views()
        try:
            done = await repairs.apply(
                self.repairer, RowSelection(), applied_by=WHO, reason="refused?"
            )
        except Rejected:
            done = None
        return done is None and await self.views() == before

    async def rebuilt(self) -> None:
        """Build all read models anew."""
        await rebuild(
            self.service.database_url, rebuilt_by=WHO, progress=lambda _phase, _done, _total: None
        )

    async def remember(self) -> None:
        """Make the backup, and remember the views."""
        owner = self.owner
        await owner.execute(f"DROP SCHEMA IF EXISTS {BACKUP} CASCADE; CREATE SCHEMA {BACKUP}")
        for table in (*TRUTH, CHECKPOINTS):
            await owner.execute(f"CREATE TABLE {_kept(table)} AS TABLE {table}")
        self._refusal = await owner.fetchval(
            f"SELECT pg_get_functiondef('{REFUSAL}'::regprocedure)"
        )
        self._files = {path: path.read_bytes() for path in self.sent.iterdir()}
        self._views = await self.views()

    async def restore(self) -> None:
        """Restore the log, its seal and its guards from the backup."""
        owner = self.owner
        async with owner.transaction():
            await owner.execute(f"ALTER TABLE {LOG} DISABLE TRIGGER ALL")
            for table in TRUTH:
                # Not TRUNCATE: readers of an older snapshot would see an empty table.
                await owner.execute(
                    f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM {_kept(table)}"
                )
            await owner.execute(
                f"UPDATE {CHECKPOINTS} AS moved SET position = kept.position"
                f" FROM {_kept(CHECKPOINTS)} AS kept"
                " WHERE moved.reader = kept.reader AND moved.position <> kept.position"
            )
            await owner.execute(self._refusal)
            await owner.execute(f"ALTER TABLE {LOG} ENABLE ALWAYS TRIGGER {TRIGGER}")
            await owner.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {LOG} FROM {WRITERS}")
        for path, body in self._files.items():
            path.write_bytes(body)

    async def views(self) -> dict[str, str]:
        """Return a digest of all rows of each view, of the read side and the command side.

        The position of the writer's rows is left out: a repair stores an account as of the head.
        """
        compared = dict.fromkeys(VIEWS, "seen::text")
        compared["command.accounts"] = "(to_jsonb(seen) - 'position')::text"
        parts = [
            f"SELECT '{table}' AS name, md5(coalesce(string_agg({row}, chr(10)"
            f" ORDER BY {row} COLLATE \"C\"), '')) AS digest FROM {table} AS seen"
            for table, row in compared.items()
        ]
        rows = await self.owner.fetch(" UNION ALL ".join(parts))
        return {row["name"]: row["digest"] for row in rows}

    async def changed_views(self) -> list[str]:
        """Return the views that changed since they were remembered."""
        now = await self.views()
        return [name for name in VIEWS if now[name] != self._views[name]]

    async def head(self) -> int:
        """Return the last position of the log, from its head."""
        position: int = await self.owner.fetchval("SELECT position FROM events.head")
        return position

    async def settled(self, *but: str) -> None:
        """Wait until every reader of the log, except `but`, is at its end, and no message waits."""
        readers = [reader for reader in READERS if reader not in but]
        for _ in range(round(SETTLED_S_MAX / POLL_S)):
            behind = await self.owner.fetchval(BEHIND, readers)
            if not behind and (but or not await self._waiting()):
                return
            await asyncio.sleep(POLL_S)
        raise DrillError(f"after {SETTLED_S_MAX:.0f} s the log is not read: {', '.join(readers)}")

    async def _waiting(self) -> int:
        found = await self.queue.attributes()
        return sum(
            int(found[name])
            for name in (
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            )
        )

    @asynccontextmanager
    async def paused(self, program: str | None) -> AsyncIterator[None]:
        """Stop a program meanwhile, at a moment when it has no transaction open."""
        if program is None:
            yield
            return
        pid = self.service.pids()[program]
        try:
            os.kill(pid, signal.SIGSTOP)
            for _ in range(round(SETTLED_S_MAX / POLL_S)):
                if not await self.owner.fetchval(BUSY, ROLES[program]):
                    break
                os.kill(pid, signal.SIGCONT)
                await asyncio.sleep(POLL_S)
                os.kill(pid, signal.SIGSTOP)
            else:
                raise DrillError(f"{program} never rests between two transactions")
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def opened(service: Service, sent: Path) -> AsyncIterator[Sandbox]:
    """Open a sandbox; `sent` is the folder that checkpoints are sent to."""
    async with AsyncExitStack() as stack:
        opened = []
        for role in (None, AUDITOR_ROLE, REPAIRER):
            connection = await database.connect(service.database_url, role)
            stack.push_async_callback(connection.close)
            opened.append(connection)
        # The queue is the sandbox's own: real AWS credentials must not be sent there.
        os.environ.update(DUMMY_AWS)
        messages = await stack.enter_async_context(queue.connect(service.queue_url))
        keys = signers(os.environ.get("DAYBOOK_SEAL_KEY_FILE") or str(seal_key(service.data)))
        yield Sandbox(service, sent, opened, messages, keys)


def _kept(table: str) -> str:
    return f"{BACKUP}.{table.replace('.', '_')}"

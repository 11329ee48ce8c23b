"""Where the drill happens: a running Daybook, its owner's connection, and a backup of its truth."""

# ruff: noqa: S608 - statements are made of the names of our own tables

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from auditing.rebuild.rebuild import rebuild
from auditing.reconcile.compare import Run, Scope
from auditing.reconcile.reconcile import ROLE as AUDITOR_ROLE
from auditing.reconcile.reconcile import Means, Report, reconcile_whole
from auditing.repair import repair as repairs
from auditing.repair.plan import Wanted
from auditing.replay import Books
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
# Nobody is ever late here: all is waited for before anybody looks.
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
# The programs that may be made to hang, and as whom they work.
ROLES = {"project": PROJECTOR_ROLE, "relay": RELAY_ROLE}


class Site:
    """A running service, and what the drill needs to damage it and to look at it."""

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
        means = Means(self.auditor, lag_max=timedelta(seconds=LAG_S_MAX))
        return await reconcile_whole(means, uuid4(), Run(Scope(), Books()))

    async def verified(self) -> Verdict:
        """Compare the log with all that was sealed of it, here and off the box."""
        return await verify_log(self.auditor, self._verifiers, [str(self.sent)])

    async def repaired(self) -> bool:
        """Repair what differs; return whether there was something, and it is right by now."""
        done = await repairs.apply(self.repairer, Wanted(), applied_by=WHO, reason="tamper drill")
        return done is not None and done.check is not None and done.check.remaining == 0

    async def refuses_repair(self) -> bool:
        """Return whether a repair touches nothing, since the log is unsound or no view differs."""
        before = await self.views()
        try:
            done = await repairs.apply(self.repairer, Wanted(), applied_by=WHO, reason="refused?")
        except Rejected:
            done = None
        return done is None and await self.views() == before

    async def rebuilt(self) -> None:
        """Build all read models anew."""
        await rebuild(
            self.service.database_url, rebuilt_by=WHO, progress=lambda _phase, _done, _total: None
        )

    async def remember(self) -> None:
        """Make the backup, and remember what the views show."""
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
        """Put the log, its seal and its guards back as the backup has them."""
        owner = self.owner
        async with owner.transaction():
            await owner.execute(f"ALTER TABLE {LOG} DISABLE TRIGGER ALL")
            for table in TRUTH:
                # Not TRUNCATE, of which whoever reads an older snapshot would see the effect.
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
        """Return a digest of every row of each view, of the read side and the command side.

        When a row was stored is not compared: an account that was mended is so as of the head.
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
        """Return the views that are not what was remembered."""
        now = await self.views()
        return [name for name in VIEWS if now[name] != self._views[name]]

    async def head(self) -> int:
        """Return the log's last position, as its head says."""
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
        """Let a program hang meanwhile, at a moment when it holds nothing in the database."""
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
                raise DrillError(f"{program} is never at rest")
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def site(service: Service, sent: Path) -> AsyncIterator[Site]:
    """Open everything that the drill needs; `sent` is where checkpoints leave the box to."""
    async with AsyncExitStack() as stack:
        opened = []
        for role in (None, AUDITOR_ROLE, repairs.ROLE):
            connection = await database.connect(service.database_url, role)
            stack.push_async_callback(connection.close)
            opened.append(connection)
        # The queue is our own: what the environment says of a real one must not go there.
        os.environ.update(DUMMY_AWS)
        messages = await stack.enter_async_context(queue.connect(service.queue_url))
        keys = signers(os.environ.get("DAYBOOK_SEAL_KEY_FILE") or str(seal_key(service.data)))
        yield Site(service, sent, opened, messages, keys)


def _kept(table: str) -> str:
    return f"{BACKUP}.{table.replace('.', '_')}"

"""Faults between the log and its readers: wrong checkpoints, stopped workers, a lying queue.

The queue is only a hint, so most corruptions of it must have no effect.
"""

# ruff: noqa: S608 - statements made of constants

from auditing.discrepancies import DiscrepancyKind
from daybook.drill import load
from daybook.drill.corruption import Corruption, Location, Remedy, by_sql
from daybook.drill.sandbox import Sandbox
from events.envelope import pack
from events.log import NO_END, rows_after

K = DiscrepancyKind
GROUP = "daybook-log"
ENVELOPE_BYTES_MAX = 200_000
ENVELOPE_EVENTS_MAX = 50
MOVED = 7
FIELDS = ("notification_id", "originator_id", "originator_version", "topic", "state")


async def _unread(sandbox: Sandbox) -> Location:
    """Append while the projector is stopped: the event is published and not applied."""
    await load.append(sandbox.service.database_url, [load.one_more("while-the-projector-hangs")])
    await sandbox.settled("projector", "auditor")
    return Location(await sandbox.head())


async def _unpublished(sandbox: Sandbox) -> Location:
    await load.append(sandbox.service.database_url, [load.one_more("while-the-relay-hangs")])
    await sandbox.settled("relay")
    return Location(await sandbox.head())


async def _purged(sandbox: Sandbox) -> Location:
    await load.append(sandbox.service.database_url, [load.one_more("purged")])
    await sandbox.settled("projector", "auditor")
    await sandbox.queue.purge()
    return Location(await sandbox.head())


async def _forged(sandbox: Sandbox) -> Location:
    """Send a forged next event that moves more money than there is, and garbage."""
    last = (await rows_after(sandbox.owner, await sandbox.head() - 1, 1))[0]
    forged = {name: last[name] for name in FIELDS}
    forged["notification_id"] += 1
    forged["state"] = bytes(last["state"]).replace(b'"amount":"', b'"amount":"9999')
    bodies = [envelope.body for envelope in pack([forged], ENVELOPE_BYTES_MAX, 1)]
    for number, body in enumerate([*bodies, "no JSON at all", "[{}]"]):
        await sandbox.queue.send(body, GROUP, f"forged-{number}")
    return Location()


async def _repeated(sandbox: Sandbox) -> Location:
    """Send the whole log two more times, the last events first."""
    rows = await rows_after(sandbox.owner, 0, NO_END)
    envelopes = list(pack(rows, ENVELOPE_BYTES_MAX, ENVELOPE_EVENTS_MAX))
    for turn in range(2):
        for envelope in reversed(envelopes):
            await sandbox.queue.send(envelope.body, GROUP, f"again-{turn}-{envelope.first}")
    return Location()


def _moved(reader: str, position: str) -> str:
    return f"UPDATE events.checkpoints SET position = {position} WHERE reader = '{reader}'"


# The first ones lengthen the log; all others leave it as it was.
CORRUPTIONS = (
    Corruption(
        name="the projector hangs",
        story="Committed events are published, and not applied to the read models.",
        tamper=_unread,
        pauses="project",
        grows=True,
        remedy=Remedy.REPLAY,
        reconcile=frozenset({K.PROJECTION_LAG}),
    ),
    Corruption(
        name="the relay hangs",
        story="Committed events are not published.",
        tamper=_unpublished,
        pauses="relay",
        grows=True,
        remedy=Remedy.REPLAY,
        reconcile=frozenset({K.PUBLISHED_GAP}),
    ),
    Corruption(
        name="the queue is purged",
        story="Messages are thrown away before the projector has seen them.",
        tamper=_purged,
        pauses="project",
        grows=True,
        remedy=Remedy.REPLAY,
        reconcile=frozenset({K.PROJECTION_LAG}),
    ),
    Corruption(
        name="an envelope is forged",
        story="Somebody sends an event that is not in the log, and garbage.",
        tamper=_forged,
        remedy=Remedy.REPLAY,
    ),
    Corruption(
        name="envelopes are repeated, the last first",
        story="The queue delivers everything twice more, in the wrong order.",
        tamper=_repeated,
        remedy=Remedy.REPLAY,
    ),
    Corruption(
        name="the relay's checkpoint is ahead",
        story="The relay's checkpoint says that events were published which are not written yet.",
        tamper=by_sql(
            _moved("relay", f"position + {MOVED}"),
            "SELECT position + 1 AS position FROM events.head",
        ),
        remedy=Remedy.RESTORE,
        reconcile=frozenset({K.PUBLISHED_GAP}),
    ),
    Corruption(
        name="the projector's checkpoint is back",
        story="The read models show more than the projector's checkpoint says.",
        tamper=by_sql(
            _moved("projector", f"position - {MOVED}"),
            "SELECT position + 1 AS position FROM events.checkpoints WHERE reader = 'projector'",
        ),
        pauses="project",
        remedy=Remedy.REBUILD,
        reconcile=frozenset(
            {
                K.PROJECTION_LAG,
                K.UNEXPECTED_ENTRY,
                K.UNEXPECTED_TRANSACTION,
                K.UNEXPECTED_MOMENT,
                K.BALANCE_DRIFT,
            }
        ),
    ),
)
# The continuous auditor then waits until the log has grown to its checkpoint, so this comes last.
LAST_CORRUPTIONS = (
    Corruption(
        name="the projector's checkpoint is ahead",
        story="The next events would never be applied to the read models.",
        tamper=by_sql(
            _moved("projector", f"position + {MOVED}"),
            "SELECT position + 1 AS position FROM events.head",
        ),
        remedy=Remedy.RESTORE,
        reconcile=frozenset({K.POSITION_GAP}),
    ),
)

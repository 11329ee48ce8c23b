"""Faults between the log and its readers: checkpoints, workers that hang, a queue that lies.

The queue is a hint and never believed, so most of what is done to it must change nothing at all.
"""

# ruff: noqa: S608 - statements made of constants

from auditing.discrepancies import Kind
from daybook.drill import load
from daybook.drill.corruption import Case, Remedy, Spot, by_sql
from daybook.drill.sandbox import Site
from events.envelope import pack
from events.log import NO_END, rows_after

K = Kind
GROUP = "daybook-log"
ENVELOPE_BYTES_MAX = 200_000
ENVELOPE_EVENTS_MAX = 50
MOVED = 7
FIELDS = ("notification_id", "originator_id", "originator_version", "topic", "state")


async def _unread(site: Site) -> Spot:
    """Write while the projector hangs: what is new is published, and nobody applies it."""
    await load.append(site.service.database_url, [load.one_more("while-the-projector-hangs")])
    await site.settled("projector", "auditor")
    return Spot(await site.head())


async def _unpublished(site: Site) -> Spot:
    await load.append(site.service.database_url, [load.one_more("while-the-relay-hangs")])
    await site.settled("relay")
    return Spot(await site.head())


async def _purged(site: Site) -> Spot:
    await load.append(site.service.database_url, [load.one_more("purged")])
    await site.settled("projector", "auditor")
    await site.queue.purge()
    return Spot(await site.head())


async def _forged(site: Site) -> Spot:
    """Send what the log's next event could look like, and more of it than there is money."""
    last = (await rows_after(site.owner, await site.head() - 1, 1))[0]
    forged = {name: last[name] for name in FIELDS}
    forged["notification_id"] += 1
    forged["state"] = bytes(last["state"]).replace(b'"amount":"', b'"amount":"9999')
    bodies = [envelope.body for envelope in pack([forged], ENVELOPE_BYTES_MAX, 1)]
    for number, body in enumerate([*bodies, "no JSON at all", "[{}]"]):
        await site.queue.send(body, GROUP, f"forged-{number}")
    return Spot()


async def _repeated(site: Site) -> Spot:
    """Send the whole log once more, twice, the last events first."""
    rows = await rows_after(site.owner, 0, NO_END)
    envelopes = list(pack(rows, ENVELOPE_BYTES_MAX, ENVELOPE_EVENTS_MAX))
    for turn in range(2):
        for envelope in reversed(envelopes):
            await site.queue.send(envelope.body, GROUP, f"again-{turn}-{envelope.first}")
    return Spot()


def _moved(reader: str, position: str) -> str:
    return f"UPDATE events.checkpoints SET position = {position} WHERE reader = '{reader}'"


# The log grows in the first ones, so that it can be as it was in all the others.
CASES = (
    Case(
        name="the projector hangs",
        story="What was committed is published, and does not get into the read models.",
        tamper=_unread,
        pauses="project",
        grows=True,
        remedy=Remedy.REPLAY,
        reconcile=frozenset({K.PROJECTION_LAG}),
    ),
    Case(
        name="the relay hangs",
        story="What was committed is not published.",
        tamper=_unpublished,
        pauses="relay",
        grows=True,
        remedy=Remedy.REPLAY,
        reconcile=frozenset({K.PUBLISHED_GAP}),
    ),
    Case(
        name="the queue is purged",
        story="Messages are thrown away before the projector has seen them.",
        tamper=_purged,
        pauses="project",
        grows=True,
        remedy=Remedy.REPLAY,
        reconcile=frozenset({K.PROJECTION_LAG}),
    ),
    Case(
        name="an envelope is forged",
        story="Somebody sends an event that is not in the log, and garbage.",
        tamper=_forged,
        remedy=Remedy.REPLAY,
    ),
    Case(
        name="envelopes are repeated, the last first",
        story="The queue delivers everything twice more, in the wrong order.",
        tamper=_repeated,
        remedy=Remedy.REPLAY,
    ),
    Case(
        name="the relay's checkpoint is ahead",
        story="The relay believes that it has published what is not written yet.",
        tamper=by_sql(
            _moved("relay", f"position + {MOVED}"),
            "SELECT position + 1 AS position FROM events.head",
        ),
        remedy=Remedy.RESTORE,
        reconcile=frozenset({K.PUBLISHED_GAP}),
    ),
    Case(
        name="the projector's checkpoint is back",
        story="The read models show more than the projector says that it applied.",
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
# The auditor that follows the projector waits afterwards until the log is as long: it comes last.
LAST_CASES = (
    Case(
        name="the projector's checkpoint is ahead",
        story="What comes next would never get into the read models.",
        tamper=by_sql(
            _moved("projector", f"position + {MOVED}"),
            "SELECT position + 1 AS position FROM events.head",
        ),
        remedy=Remedy.RESTORE,
        reconcile=frozenset({K.POSITION_GAP}),
    ),
)

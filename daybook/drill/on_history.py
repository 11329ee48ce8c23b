"""Attacks on history itself: the log, its tiles and checkpoints, and the guards of the log.

The owner of the database can do all of them. A view cannot be repaired from a corrupted log, so the
drill also checks that `repair` changes nothing.
"""

# ruff: noqa: S608 - an attacker's statements, made of constants

from auditing.discrepancies import DiscrepancyKind
from daybook.drill.corruption import Corruption, Location, Remedy, by_sql
from daybook.drill.sandbox import LOG, REFUSAL, TRIGGER, Sandbox
from events.log import NO_END, rows_after
from sealing import merkle, offsite, signed_notes, tiles
from sealing.findings import FindingKind
from sealing.leaves import leaf_hashes
from sealing.signed_notes import SignedCheckpoint, Signer

K = DiscrepancyKind
F = FindingKind
OPEN = f"ALTER TABLE {LOG} DISABLE TRIGGER ALL"
SHUT = f"ALTER TABLE {LOG} ENABLE ALWAYS TRIGGER {TRIGGER}"
# A plain transfer in the middle, not the last event of its time.
PLACE = f"""(
    SELECT min(notification_id) FROM {LOG}
    WHERE notification_id > (SELECT position / 2 FROM events.head)
    AND notification_id NOT IN (SELECT position FROM read.moments)
    AND convert_from(state, 'UTF8') LIKE '%"key":"plain-%'
)"""
TARGET = f"CREATE TEMPORARY TABLE IF NOT EXISTS target AS SELECT {PLACE} AS position"
AT = "(SELECT position FROM target)"
# One of the last events, each of which has a time of its own.
LATE = "((SELECT position FROM events.head) - 2)"
# The first transaction that has a reference.
SPLIT = f"""(
    SELECT min(notification_id) FROM {LOG}
    WHERE convert_from(state, 'UTF8') LIKE '%"reference":"INV-%'
)"""
FORGET_TARGET = "DROP TABLE IF EXISTS target"
EDIT = f"""
    UPDATE {LOG} SET state = convert_to(regexp_replace(
        convert_from(state, 'UTF8'), '"amount":"', '"amount":"9'
    ), 'UTF8') WHERE notification_id = {AT}
"""
# What the views show after an amount in the log was changed.
OF_AMOUNT = frozenset(
    {
        K.AMOUNT_MISMATCH,
        K.BALANCE_MISMATCH,
        K.TRANSACTION_MISMATCH,
        K.BALANCE_DRIFT,
        K.COMMAND_DRIFT,
    }
)
OF_MISSING = frozenset(
    {
        K.POSITION_GAP,
        K.UNEXPECTED_ENTRY,
        K.UNEXPECTED_TRANSACTION,
        K.BALANCE_MISMATCH,
        K.BALANCE_DRIFT,
        K.COMMAND_DRIFT,
    }
)
OF_TAIL = (OF_MISSING - {K.BALANCE_MISMATCH}) | {K.UNEXPECTED_MOMENT}
OF_CLOSING_UP = OF_TAIL | {
    K.AMOUNT_MISMATCH,
    K.MISSING_MOMENT,
    K.MISSING_TRANSACTION,
    K.MOMENT_MISMATCH,
    K.PUBLISHED_GAP,
    K.STATUS_MISMATCH,
}
OF_SWAP = frozenset(
    {
        K.AMOUNT_MISMATCH,
        K.MISSING_ENTRY,
        K.UNEXPECTED_ENTRY,
        K.BALANCE_MISMATCH,
        K.MOMENT_MISMATCH,
        K.STATUS_MISMATCH,
    }
)
CUT = 3
FORGED_NAME = "daybook/forged"


def _attack(
    name: str,
    story: str,
    verify: set[FindingKind],
    *statements: str,
    reconcile: frozenset[DiscrepancyKind] = frozenset(),
) -> Corruption:
    return Corruption(
        name=name,
        story=story,
        tamper=by_sql(FORGET_TARGET, TARGET, *statements),
        remedy=Remedy.RESTORE,
        verify=frozenset(verify),
        reconcile=reconcile,
    )


def _rewriting(*, with_key: bool) -> Corruption:
    async def tamper(sandbox: Sandbox) -> Location:
        await by_sql(FORGET_TARGET, TARGET, OPEN, EDIT, SHUT, "SELECT NULL::bigint AS position")(
            sandbox
        )
        position: int = await sandbox.owner.fetchval(AT)
        key = sandbox.keys[0] if with_key else Signer(sandbox.keys[0].name, bytes(32))
        await _seal_anew(sandbox, key)
        # Off the box is what was signed before: the lie begins behind the last size that agrees.
        sent = [offsite.size_of(path.name) or 0 for path in sandbox.sent.iterdir()]
        agreed = max((size for size in sent if size < position), default=0)
        return Location(position, sealed_position=agreed + 1)

    return Corruption(
        name=f"all is rewritten, {'with' if with_key else 'without'} the key",
        story="An event is edited, and tiles and checkpoints are made anew, as if it had always"
        f" been so{': the key was stolen, too' if with_key else ''}.",
        tamper=tamper,
        remedy=Remedy.RESTORE,
        verify=frozenset({F.HISTORY_REWRITTEN} | (set() if with_key else {F.SIGNATURE_INVALID})),
        reconcile=OF_AMOUNT,
    )


async def _seal_anew(sandbox: Sandbox, key: Signer) -> None:
    """Make tiles and checkpoints for the log as it is now."""
    owner = sandbox.owner
    secret = await owner.fetchval("SELECT secret FROM seal.secret")
    hashes = leaf_hashes(await rows_after(owner, 0, NO_END), secret)
    sizes = [row["size"] for row in await owner.fetch("SELECT size FROM seal.checkpoints")]
    await owner.execute("DELETE FROM seal.tiles; DELETE FROM seal.checkpoints")
    for tile in tiles.grow(0, {}, b"".join(hashes)):
        row = (tile.level, tile.index, tile.hashes)
        await owner.execute("INSERT INTO seal.tiles VALUES ($1, $2, $3)", *row)
    for size in sizes:
        forged = SignedCheckpoint(key.name, size, merkle.root(hashes[:size]))
        note = signed_notes.sign(forged.text, [key])
        await owner.execute("INSERT INTO seal.checkpoints VALUES ($1, $2)", size, note)


CORRUPTIONS = (
    _attack(
        "an event is edited",
        "The triggers are off for a moment, in which an amount of the log gets a digit more.",
        {F.EVENT_ALTERED},
        OPEN,
        EDIT,
        SHUT,
        f"SELECT {AT} AS position",
        reconcile=OF_AMOUNT,
    ),
    _attack(
        "an event's reference is edited",
        "No amount: only what a transaction says of itself. The seal alone knows which side lies.",
        {F.EVENT_ALTERED},
        OPEN,
        f"""UPDATE {LOG} SET state = convert_to(replace(
            convert_from(state, 'UTF8'), '"reference":"INV-1"', '"reference":"INV-2"'
        ), 'UTF8') WHERE notification_id = {SPLIT}""",
        SHUT,
        f"SELECT {SPLIT} AS position",
        reconcile=frozenset({K.TRANSACTION_MISMATCH}),
    ),
    _attack(
        "an event is deleted",
        "A transfer is taken out of the log.",
        {F.EVENT_MISSING},
        OPEN,
        f"DELETE FROM {LOG} WHERE notification_id = {AT}",
        SHUT,
        f"SELECT {AT} AS position",
        reconcile=OF_MISSING,
    ),
    _attack(
        "an event is deleted, the others close up",
        "A transfer is taken out, and all that follow are numbered anew: no gap is left.",
        {F.EVENT_MOVED, F.EVENT_ALTERED, F.LOG_TRUNCATED},
        OPEN,
        f"""DELETE FROM {LOG} WHERE notification_id = {LATE};
        UPDATE {LOG} SET notification_id = -notification_id WHERE notification_id > {LATE};
        UPDATE {LOG} SET notification_id = -notification_id - 1 WHERE notification_id < 0;
        UPDATE events.head SET position = position - 1""",
        SHUT,
        "SELECT position - 1 AS position FROM events.head",
        reconcile=OF_CLOSING_UP,
    ),
    _attack(
        "two events are swapped",
        "Of two transfers the later one seems to have been first.",
        {F.EVENT_MOVED, F.TIME_REVERSED},
        OPEN,
        f"""UPDATE {LOG} SET notification_id = -notification_id
        WHERE notification_id IN ({AT}, {AT} + 40);
        UPDATE {LOG} SET notification_id = 2 * {AT} + 40 + notification_id
        WHERE notification_id < 0""",
        SHUT,
        f"SELECT {AT} AS position",
        reconcile=OF_SWAP,
    ),
    _attack(
        "the tail is cut off",
        f"The last {CUT} events are deleted, and the head is set back to fit.",
        {F.LOG_TRUNCATED},
        OPEN,
        f"""UPDATE events.head SET position = position - {CUT};
        DELETE FROM {LOG} WHERE notification_id > (SELECT position FROM events.head)""",
        SHUT,
        "SELECT position + 1 AS position FROM events.head",
        reconcile=OF_TAIL | {K.PUBLISHED_GAP},
    ),
    _attack(
        "the tail is cut off, and its seal",
        "The same, and what was sealed of it is deleted, too: only off the box it is remembered.",
        {F.LOG_TRUNCATED, F.CHECKPOINT_MISSING},
        OPEN,
        f"""UPDATE events.head SET position = position - {CUT};
        DELETE FROM {LOG} WHERE notification_id > (SELECT position FROM events.head);
        DELETE FROM seal.checkpoints WHERE size > (SELECT position FROM events.head)""",
        SHUT,
        "SELECT position + 1 AS position FROM events.head",
        reconcile=OF_TAIL | {K.PUBLISHED_GAP},
    ),
    _rewriting(with_key=False),
    _rewriting(with_key=True),
    _attack(
        "the head is set back",
        "The next writer would overwrite what is there.",
        {F.HEAD_MISMATCH},
        "UPDATE events.head SET position = position - 3",
        "SELECT position + 1 AS position FROM events.head",
        # Rows of accounts that were stored last claim to be later than the log.
        reconcile=frozenset({K.PUBLISHED_GAP, K.COMMAND_DRIFT}),
    ),
    _attack(
        "a tile is edited",
        "A hash of the Merkle tree is another one: proofs would fail.",
        {F.TILE_ALTERED},
        """UPDATE seal.tiles SET nodes = set_byte(nodes, 32 * 9, get_byte(nodes, 32 * 9) # 1)
        WHERE (level, place) = (0, 0)""",
        "SELECT 10 AS position",
    ),
    _attack(
        "the last checkpoint is deleted",
        "The newest signature is gone from the database.",
        {F.CHECKPOINT_MISSING},
        "DELETE FROM seal.checkpoints WHERE size = (SELECT max(size) FROM seal.checkpoints)",
        "SELECT NULL::bigint AS position",
    ),
    _attack(
        "a checkpoint is edited",
        "A signed note says something else than what was signed.",
        {F.SIGNATURE_INVALID},
        """UPDATE seal.checkpoints SET note = 'x'
        WHERE size = (SELECT min(size) FROM seal.checkpoints)""",
        "SELECT NULL::bigint AS position",
    ),
    _attack(
        "a checkpoint is another's",
        "An older signed note stands where the newest should be.",
        {F.CHECKPOINT_UNREADABLE},
        """UPDATE seal.checkpoints SET note = (
            SELECT note FROM seal.checkpoints ORDER BY size LIMIT 1
        )
        WHERE size = (SELECT max(size) FROM seal.checkpoints)""",
        "SELECT NULL::bigint AS position",
    ),
    _attack(
        "the secret of the salts is deleted",
        "No leaf of the tree could be hashed again.",
        {F.SECRET_MISSING},
        "DELETE FROM seal.secret",
        "SELECT NULL::bigint AS position",
    ),
    _attack(
        "the triggers are disabled",
        "The log could be changed right now.",
        {F.TRIGGERS_DISABLED},
        OPEN,
        "SELECT NULL::bigint AS position",
    ),
    _attack(
        "the trigger refuses nothing",
        "It is there and enabled, and its function was emptied.",
        {F.TRIGGER_ALTERED},
        f"CREATE OR REPLACE FUNCTION {REFUSAL} RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NULL; END'",
        "SELECT NULL::bigint AS position",
    ),
    _attack(
        "rights are granted",
        "The writer could delete what it wrote.",
        {F.RIGHTS_EXCESSIVE},
        f"GRANT UPDATE, DELETE ON {LOG} TO daybook_writer",
        "SELECT NULL::bigint AS position",
    ),
)

# ruff: noqa: S608 - an attacker's statements, made of constants
"""Verifying: each attack of a database's owner is found, named and located; nothing else is."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from auditing.roles import AUDITOR
from daybook.cli.actions import seals as sealing
from events import log
from runtime import database
from runtime.problems import NotFound
from sealing import check_event as seals
from sealing import log_reader, merkle, offsite, signed_notes, tiles, verify
from sealing.check_event import SealError
from sealing.findings import FindingKind, Verdict
from sealing.offsite import Folder
from sealing.signed_notes import SignedCheckpoint, Signer
from tests.integration import fixtures
from tests.integration.test_sealing import KEY, NEXT_KEY, leaf_hashes_of, sealed

K = FindingKind
LOG = "events.daybook_events"
OPEN = f"ALTER TABLE {LOG} DISABLE TRIGGER ALL"
SHUT = f"ALTER TABLE {LOG} ENABLE ALWAYS TRIGGER daybook_events_immutable"
TRANSFERS = 300
SEALS = (110, 200, TRANSFERS)
# 300 transfers and two accounts that they opened; the sizes of the checkpoints likewise.
SIZE = TRANSFERS + 2
SIZES = [size + 2 for size in SEALS]
EDIT = (
    f"UPDATE {LOG} SET state = convert_to(replace(convert_from(state, 'UTF8'), "
    '\'"amount":"100"\', \'"amount":"900"\'), \'UTF8\') WHERE notification_id = {}'
)
SWAP = f"""
    UPDATE {LOG} SET notification_id = CASE notification_id WHEN 50 THEN -1 ELSE -2 END
    WHERE notification_id IN (50, 60);
    UPDATE {LOG} SET notification_id = CASE notification_id WHEN -1 THEN 60 ELSE 50 END
    WHERE notification_id < 0
"""
RENUMBER = f"""
    DELETE FROM {LOG} WHERE notification_id = 250;
    UPDATE {LOG} SET notification_id = -notification_id WHERE notification_id > 250;
    UPDATE {LOG} SET notification_id = -notification_id - 1 WHERE notification_id < 0;
    UPDATE events.head SET position = position - 1
"""
CUT = f"DELETE FROM {LOG} WHERE notification_id > 290; UPDATE events.head SET position = 290"
EDIT_TILE = """
    UPDATE seal.tiles SET nodes = set_byte(nodes, 32 * 9, get_byte(nodes, 32 * 9) # 1)
    WHERE (level, place) = (0, 0)
"""
COPY_CHECKPOINT = """
    UPDATE seal.checkpoints
    SET note = (SELECT note FROM seal.checkpoints WHERE size = 112) WHERE size = 202
"""
GUT = """
    CREATE OR REPLACE FUNCTION events.refuse_change() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN RETURN NULL; END'
"""
FORGET = "DELETE FROM seal.checkpoints; DELETE FROM seal.tiles"


class Attack(NamedTuple):
    """What the owner does, and what a verification says: kinds, and the first position."""

    statements: tuple[str, ...]
    kinds: set[FindingKind]
    position: int | None
    found: int | None = 1


def on_log(*statements: str) -> tuple[str, ...]:
    """Return statements with the triggers off meanwhile."""
    return (OPEN, *statements, SHUT)


def append(position: int) -> str:
    """Return a statement that copies the last event to a position."""
    return f"""
        INSERT INTO {LOG} SELECT gen_random_uuid(), 1, topic, state, {position}
        FROM {LOG} WHERE notification_id = {SIZE}
    """


ATTACKS = {
    "an event is edited": Attack(on_log(EDIT.format(77)), {K.EVENT_ALTERED}, 77),
    "the last event": Attack(on_log(EDIT.format(SIZE)), {K.EVENT_ALTERED}, SIZE),
    "its topic": Attack(
        on_log(f"UPDATE {LOG} SET topic = 'transfer.rejected' WHERE notification_id = 9"),
        {K.EVENT_ALTERED},
        9,
    ),
    "its stream": Attack(
        on_log(f"UPDATE {LOG} SET originator_id = gen_random_uuid() WHERE notification_id = 9"),
        {K.EVENT_ALTERED},
        9,
    ),
    "its version": Attack(
        on_log(f"UPDATE {LOG} SET originator_version = -3 WHERE notification_id = 9"),
        {K.EVENT_ALTERED},
        9,
    ),
    "an event is deleted": Attack(
        on_log(f"DELETE FROM {LOG} WHERE notification_id = 123"), {K.EVENT_MISSING}, 123
    ),
    "several, over the end of a tile": Attack(
        on_log(f"DELETE FROM {LOG} WHERE notification_id BETWEEN 250 AND 260"),
        {K.EVENT_MISSING},
        250,
        11,
    ),
    "two are swapped": Attack(on_log(SWAP), {K.EVENT_MOVED, K.TIME_REVERSED}, 50, None),
    "one is deleted, and the others close up": Attack(
        on_log(RENUMBER), {K.EVENT_MOVED, K.EVENT_ALTERED, K.LOG_TRUNCATED}, 250, None
    ),
    "the tail is cut off": Attack(on_log(CUT), {K.LOG_TRUNCATED}, 291, None),
    "the tail and what was sealed of it": Attack(
        on_log(
            CUT,
            "DELETE FROM seal.checkpoints WHERE size > 202",
            "DELETE FROM seal.tiles WHERE (level, place) = (0, 1)",
        ),
        {K.CHECKPOINT_MISSING, K.LOG_TRUNCATED},
        291,
        None,
    ),
    "the head is set back": Attack(
        ("UPDATE events.head SET position = 3",), {K.HEAD_MISMATCH}, 4
    ),
    "the head is gone": Attack(("DELETE FROM events.head",), {K.HEAD_MISMATCH}, 1),
    "an event before the first": Attack(
        (append(-5),),
        {K.POSITION_GAP},
        1,
    ),
    "an event far behind the last": Attack(
        (append(10**15),),
        {K.POSITION_GAP},
        SIZE + 1,
        None,
    ),
    "an event a little behind it": Attack(
        (
            append(SIZE + 2),
            f"UPDATE events.head SET position = {SIZE + 2}",
        ),
        {K.POSITION_GAP},
        SIZE + 1,
    ),
    "a tile is edited": Attack(
        (EDIT_TILE,),
        {K.TILE_ALTERED},
        10,
        None,
    ),
    "a tile above is edited": Attack(
        ("UPDATE seal.tiles SET nodes = sha256('x') WHERE level = 1",), {K.TILE_ALTERED}, 1
    ),
    "a tile is gone": Attack(
        ("DELETE FROM seal.tiles WHERE (level, place) = (0, 0)",), {K.TILE_ALTERED}, 1
    ),
    "the last checkpoint is gone": Attack(
        (f"DELETE FROM seal.checkpoints WHERE size = {SIZE}",), {K.CHECKPOINT_MISSING}, None
    ),
    "a checkpoint is another's": Attack(
        (COPY_CHECKPOINT,),
        {K.CHECKPOINT_UNREADABLE},
        None,
    ),
    "a checkpoint is no note": Attack(
        ("UPDATE seal.checkpoints SET note = 'x' WHERE size = 202",), {K.SIGNATURE_INVALID}, None
    ),
    "the secret is gone": Attack(("DELETE FROM seal.secret",), {K.SECRET_MISSING}, None),
    "the triggers are off": Attack((OPEN,), {K.TRIGGERS_DISABLED}, None),
    "the trigger is off for replicas only": Attack(
        (f"ALTER TABLE {LOG} ENABLE TRIGGER daybook_events_immutable",),
        {K.TRIGGERS_DISABLED},
        None,
    ),
    "the trigger is gone": Attack(
        (f"DROP TRIGGER daybook_events_immutable ON {LOG}",), {K.TRIGGERS_DISABLED}, None
    ),
    "the trigger refuses nothing": Attack(
        (GUT,),
        {K.TRIGGER_ALTERED},
        None,
    ),
    "rights are granted": Attack(
        (f"GRANT UPDATE, DELETE ON {LOG} TO daybook_writer; GRANT TRUNCATE ON {LOG} TO PUBLIC",),
        {K.RIGHTS_EXCESSIVE},
        None,
        2,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
async def sealed_log(
    admin: database.Connection,
    template_database: str,
    postgres_server: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[str, Path]]:
    """Write a log, sealed three times, for all tests to clone; and its checkpoints outside."""
    template = fixtures.beside(postgres_server, template_database)
    folder = tmp_path_factory.mktemp("checkpoints")
    async with fixtures.database_made(admin, template) as name:
        url = fixtures.beside(postgres_server, name)
        first = 0
        for last in SEALS:
            commands = [fixtures.transfer(f"t{number}") for number in range(first, last)]
            await fixtures.written(url, commands, 10)
            await sealed(url, Folder(folder))
            first = last
        yield url, folder


@pytest.fixture
async def owner(sealed_log: tuple[str, Path]) -> AsyncIterator[database.Connection]:
    """Open a superuser's transaction on that log; whatever it does is undone."""
    async with fixtures.connected(sealed_log[0]) as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            yield connection
        finally:
            await transaction.rollback()


@pytest.fixture
def outside(sealed_log: tuple[str, Path], tmp_path: Path) -> str:
    """Copy the folder of checkpoints for one test."""
    folder = tmp_path / "checkpoints"
    shutil.copytree(sealed_log[1], folder)
    return str(folder)


async def verified(owner: database.Connection, *places: str) -> Verdict:
    """Verify as the auditor what the transaction sees, trusting the key of the tests."""
    await owner.execute(f"SET LOCAL ROLE {AUDITOR}")
    verdict = await verify.verify_snapshot(owner, [KEY.verifier], places)
    await owner.execute("RESET ROLE")
    return verdict


async def done(owner: database.Connection, *statements: str) -> None:
    """Execute statements, as the superuser."""
    for statement in statements:
        await owner.execute(statement)


def kinds(verdict: Verdict) -> set[FindingKind]:
    """Return the kinds of what was found; the explanations are sentences."""
    for finding in verdict.findings:
        assert finding.explanation[0].isupper() or finding.where, finding
        assert finding.explanation.endswith("."), finding
    assert verdict.intact == (not verdict.findings)
    return {finding.kind for finding in verdict.findings}


@pytest.mark.parametrize("page", [256, 4_096])
async def test_an_untouched_log_is_intact(
    owner: database.Connection, outside: str, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """Whatever the size of the pages, and with an event that is not sealed yet."""
    monkeypatch.setattr(log_reader, "PAGE_EVENTS_MAX", page)
    await done(owner, append(SIZE + 1), f"UPDATE events.head SET position = {SIZE + 1}")
    verdict = await verified(owner, outside)
    assert kinds(verdict) == set()
    assert verdict == Verdict(
        events=SIZE + 1,
        sealed=SIZE,
        tiles=3,
        checkpoints=3,
        checkpoints_off_the_box=3,
        finding_count=0,
        findings=[],
    )


@pytest.mark.parametrize("name", ATTACKS)
async def test_each_attack_is_found(owner: database.Connection, outside: str, name: str) -> None:
    """By its kind, at its place; and nothing but its own consequences."""
    attack = ATTACKS[name]
    await done(owner, *attack.statements)
    verdict = await verified(owner, outside)
    assert kinds(verdict) == attack.kinds, verdict.findings
    assert verdict.position == attack.position, verdict.findings
    assert attack.found in (None, verdict.finding_count), verdict.findings


@pytest.mark.parametrize("page", [100, SIZE])
@pytest.mark.parametrize(
    "name, position",
    [
        (None, None),
        *((name, ATTACKS[name].position) for name in ("an event is edited", "the last event")),
        *((name, 9) for name in ("its topic", "its stream", "its version")),
        ("two are swapped", 50),
        # Nothing below a tile that does not lead to the root can be believed.
        *((name, 1) for name in ("a tile is edited", "a tile is gone")),
    ],
)
async def test_the_seal_names_the_first_event_that_is_another(
    owner: database.Connection, name: str | None, position: int | None, page: int
) -> None:
    """Page by page, up to the signed root; without a look at anything else."""
    if name is not None:
        await done(owner, *ATTACKS[name].statements)
    seal = await seals.opened(owner)
    rows = await log.rows_after(owner, 0, SIZE)
    found = [await seal.broken(rows[first : first + page]) for first in range(0, len(rows), page)]
    assert next((each for each in found if each is not None), None) == position


@pytest.mark.parametrize(
    "name", ["a tile above is edited", "the last checkpoint is gone", "the secret is gone"]
)
async def test_a_seal_that_does_not_hold_together_is_not_opened(
    owner: database.Connection, name: str
) -> None:
    """Whatever it would say of an event, nobody signed it."""
    await done(owner, *ATTACKS[name].statements)
    with pytest.raises(SealError):
        await seals.opened(owner)


async def _rewrite(owner: database.Connection, key: Signer) -> None:
    """Change an event, then make tiles and checkpoints anew, as if it had always been so."""
    await done(owner, *on_log(EDIT.format(150)), FORGET)
    hashes = await leaf_hashes_of(owner)
    for tile in tiles.grow(0, {}, b"".join(hashes)):
        await owner.execute(
            "INSERT INTO seal.tiles VALUES ($1, $2, $3)", tile.level, tile.index, tile.hashes
        )
    for size in SIZES:
        forged = SignedCheckpoint(KEY.name, size, merkle.root(hashes[:size]))
        await owner.execute(
            "INSERT INTO seal.checkpoints VALUES ($1, $2)",
            size,
            signed_notes.sign(forged.text, [key]),
        )


async def test_a_rewritten_history_is_caught_by_the_key(
    owner: database.Connection, outside: str
) -> None:
    """Whoever has the database and not the key cannot sign; nothing outside is needed."""
    await _rewrite(owner, NEXT_KEY)
    verdict = await verified(owner)
    assert kinds(verdict) == {K.SIGNATURE_INVALID}
    assert verdict.finding_count == 3


async def test_a_rewritten_history_is_caught_off_the_box(
    owner: database.Connection, outside: str
) -> None:
    """Even who has the key, too, is contradicted; the place lies between two checkpoints."""
    await _rewrite(owner, KEY)
    assert (await verified(owner)).intact
    verdict = await verified(owner, outside)
    assert kinds(verdict) == {K.HISTORY_REWRITTEN}
    (finding,) = verdict.findings
    assert (finding.position, finding.position_last) == (SIZES[0] + 1, SIZES[1])
    assert finding.where == f"{outside}/{offsite.name_of(SIZES[1])}"


async def test_a_forgotten_seal_is_caught_off_the_box(
    owner: database.Connection, outside: str
) -> None:
    """Without tiles and checkpoints the log itself is compared; and nothing at all is no proof."""
    await done(owner, *on_log(EDIT.format(150)), FORGET)
    with pytest.raises(NotFound, match="no proof"):
        await verified(owner)
    verdict = await verified(owner, outside)
    assert kinds(verdict) == {K.HISTORY_REWRITTEN}
    assert verdict.position == SIZES[0] + 1


async def test_an_empty_log_contradicts_what_is_off_the_box(
    owner: database.Connection, outside: str
) -> None:
    """Everything was taken away."""
    await done(owner, OPEN, f"TRUNCATE {LOG}", SHUT, FORGET)
    verdict = await verified(owner, outside)
    assert K.LOG_TRUNCATED in kinds(verdict)
    assert verdict.position == 1


async def test_a_time_that_goes_back_is_found(owner: database.Connection, outside: str) -> None:
    """Also of what is not sealed yet."""
    await done(
        owner,
        f"""INSERT INTO {LOG} SELECT gen_random_uuid(), 1, topic,
        convert_to(regexp_replace(convert_from(state, 'UTF8'), '"recorded_at":"20..',
        '"recorded_at":"2019'), 'UTF8'), {SIZE + 1} FROM {LOG} WHERE notification_id = {SIZE}""",
        f"UPDATE events.head SET position = {SIZE + 1}",
    )
    verdict = await verified(owner, outside)
    assert kinds(verdict) == {K.TIME_REVERSED}
    assert verdict.position == SIZE + 1


async def test_more_findings_than_are_listed_are_counted(
    owner: database.Connection, outside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verification's memory is bounded, whatever was done to the log."""
    for module in ("findings", "differences"):
        monkeypatch.setattr(f"sealing.{module}.FINDINGS_MAX", 5)
    await done(owner, *on_log(f"UPDATE {LOG} SET topic = 'x' WHERE notification_id > 2"))
    verdict = await verified(owner, outside)
    assert (verdict.finding_count, len(verdict.findings)) == (TRANSFERS, 5)


async def test_a_foreign_file_among_the_checkpoints_is_found(
    owner: database.Connection, outside: str
) -> None:
    """Under a name that is none, of another size, or of another log; other files are let be."""
    folder = Path(outside)
    (folder / "README.md").write_text("hello")
    shutil.copy(folder / offsite.name_of(112), folder / offsite.name_of(150))
    (folder / f"what{offsite.SUFFIX}").write_text("hello")
    other = msgspec.structs.replace(KEY, name="daybook/other")
    (folder / offsite.name_of(10**6)).write_text(
        signed_notes.sign(SignedCheckpoint(other.name, 10**6, bytes(32)).text, [other])
    )
    verdict = await verified(owner, outside)
    assert kinds(verdict) == {K.CHECKPOINT_UNREADABLE, K.SIGNATURE_INVALID}
    assert verdict.finding_count == 3
    assert K.EVENT_ALTERED not in kinds(verdict)


async def test_as_text_a_verdict_says_what_and_where(
    owner: database.Connection, outside: str
) -> None:
    """In words; many findings are cut short."""
    text = sealing.verdict_as_text(await verified(owner, outside))
    assert text.endswith("intact")
    await done(owner, *on_log(f"UPDATE {LOG} SET topic = 'x' WHERE notification_id > 20"))
    text = sealing.verdict_as_text(await verified(owner, outside))
    assert "event_altered: The event at position 21 is not what was sealed there" in text
    assert text.endswith("the first event that diverges: position 21\n282 findings")
    assert "and 262 more" in text


async def test_verifying_changes_nothing(sealed_log: tuple[str, Path], outside: str) -> None:
    """It is one read-only snapshot, with the auditor's rights, and tells how far it is."""
    seen: list[tuple[int, int]] = []
    inside: list[bool] = []
    async with fixtures.connected(sealed_log[0], AUDITOR) as connection:

        def told(done: int, total: int) -> None:
            seen.append((done, total))
            inside.append(connection.is_in_transaction())

        verdict = await verify.verify_log(connection, [KEY.verifier], [outside], told)
    assert verdict.intact
    assert (seen, inside) == ([(SIZE, SIZE)], [True])

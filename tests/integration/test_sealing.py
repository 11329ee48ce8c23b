"""Sealing: what is signed follows from the log, whoever seals, whatever dies, wherever it goes."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from aiobotocore.session import get_session

from daybook.embedded import servers
from events import log
from runtime import bucket as buckets
from runtime import database
from runtime.problems import NotFound, Unavailable
from sealing import export, key_file, leaves, merkle, offsite, sealer, signed_notes
from sealing.check_event import SealError
from sealing.offsite import CheckpointStore, Folder
from sealing.sealer import Sealer
from sealing.signed_notes import NoteError, SignedCheckpoint, Signer
from tests.integration import fixtures

KEY, NEXT_KEY = Signer("daybook/test", b"\x01" * 32), Signer("daybook/test", b"\x02" * 32)
TRANSFERS = 300


async def sealed(database_url: str, place: CheckpointStore | None = None, *keys: Signer) -> int:
    """Seal all there is; return how many events."""
    worker = Sealer(fixtures.settings(database_url), keys or [KEY], place)
    total = 0
    while count := await worker.seal():
        total += count
    await worker.close()
    return total


async def checkpoints(database_url: str) -> list[SignedCheckpoint]:
    """Return the database's checkpoints, each of which must be signed."""
    async with fixtures.connected(database_url) as connection:
        rows = await connection.fetch("SELECT note FROM seal.checkpoints ORDER BY size")
    return [signed_notes.checkpoint(signed_notes.opened(note, [KEY.verifier])) for (note,) in rows]


async def leaf_hashes(database_url: str) -> list[bytes]:
    """Return the log's leaf hashes, each from its encoding."""
    async with fixtures.connected(database_url) as connection:
        return await leaf_hashes_of(connection)


async def leaf_hashes_of(connection: database.Connection) -> list[bytes]:
    """Return them as an open transaction sees the log."""
    secret = await connection.fetchval("SELECT secret FROM seal.secret")
    rows = await log.rows_after(connection, 0, 10**6)
    encoded = [leaves.leaf(row, secret).encoded() for row in rows]
    assert [leaves.decoded(leaf) for leaf in encoded] == [leaves.leaf(row, secret) for row in rows]
    hashes = [merkle.leaf_hash(leaf) for leaf in encoded]
    assert leaves.leaf_hashes(rows, secret) == hashes
    return hashes


async def test_checkpoints_are_the_trees_of_the_log(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL hashes as Python does; any size of page gives the same roots; nothing is idle."""
    await fixtures.rich_log(database_url)
    monkeypatch.setattr(sealer, "PAGE_EVENTS_MAX", 97)
    first = await sealed(database_url)
    await fixtures.written(
        database_url, [fixtures.transfer(f"t{n}") for n in range(TRANSFERS)], 100
    )
    monkeypatch.setattr(sealer, "PAGE_EVENTS_MAX", 1_000)
    second = await sealed(database_url)
    hashes = await leaf_hashes(database_url)
    assert first + second == len(hashes) > 256
    signed = await checkpoints(database_url)
    assert [each.size for each in signed] == [*range(97, first, 97), first, len(hashes)]
    for each in signed:
        assert each.root == merkle.root(hashes[: each.size])
    assert await sealed(database_url) == 0
    assert await fixtures.checkpoint(database_url, "sealer") == len(hashes)


async def test_two_sealers_at_once_change_nothing(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One works, the others skip; together they seal each event once."""
    await fixtures.written(
        database_url, [fixtures.transfer(f"t{n}") for n in range(TRANSFERS)], 100
    )
    monkeypatch.setattr(sealer, "PAGE_EVENTS_MAX", 23)
    place = Folder(tmp_path)
    counts = await asyncio.gather(*(sealed(database_url, place) for _ in range(4)))
    total = sum(counts) + await sealed(database_url, place)
    hashes = await leaf_hashes(database_url)
    assert total == len(hashes)
    assert (await checkpoints(database_url))[-1].root == merkle.root(hashes)


async def test_run_once_rests_when_less_than_a_page_was_left(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a slow log gets one checkpoint an interval, and a long one is sealed without rest."""
    await fixtures.written(database_url, [fixtures.transfer("one"), fixtures.transfer("two")])
    monkeypatch.setattr(sealer, "PAGE_EVENTS_MAX", 3)
    worker = Sealer(fixtures.settings(database_url, seal_interval_s=0.01), [KEY])
    assert [await worker.run_once() for _ in range(3)] == [3, 0, 0]
    await worker.rest()
    await worker.close()
    assert await fixtures.checkpoint(database_url, "sealer") == 4


class Failing(Folder):
    """A folder that is full, once."""

    def __init__(self, path: Path, *, after: bool) -> None:
        super().__init__(path)
        self._after = after
        self._failed = False

    async def put_new(self, key: str, body: bytes) -> bool:
        """Fail the first time, before or after it was written."""
        if self._after or self._failed:
            await super().put_new(key, body)
        if not self._failed:
            self._failed = True
            raise Unavailable("folder_unavailable", "The folder is full (on purpose).")
        return True


@pytest.mark.parametrize("after", [False, True])
async def test_a_checkpoint_is_off_the_box_before_it_counts(
    database_url: str,
    tmp_path: Path,
    after: bool,  # noqa: FBT001
) -> None:
    """A failure leaves nothing in the database; made again, it is the same, byte by byte."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    worker = Sealer(fixtures.settings(database_url), [KEY], Failing(tmp_path, after=after))
    with pytest.raises(Unavailable):
        await worker.seal()
    assert await checkpoints(database_url) == []
    assert await fixtures.checkpoint(database_url, "sealer") == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == after
    await worker.seal()
    await worker.close()
    (path,) = tmp_path.iterdir()
    assert before in ({}, {path.name: path.read_bytes()})
    assert path.name == offsite.name_of(3)
    assert signed_notes.checkpoint(signed_notes.opened(path.read_text(), [KEY.verifier])).size == 3


async def _tampered(database_url: str, statement: str) -> None:
    await fixtures.written(
        database_url, [fixtures.transfer(f"t{n}") for n in range(TRANSFERS)], 100
    )
    await sealed(database_url)
    await fixtures.execute(database_url, statement)
    await fixtures.written(database_url, [fixtures.transfer("later")])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE seal.tiles SET nodes = sha256('x') WHERE level = 1",
        "UPDATE seal.tiles SET nodes = set_byte(nodes, 8, get_byte(nodes, 8) # 1) WHERE level = 0",
        "DELETE FROM seal.tiles WHERE level = 0 AND place = 1",
        "DELETE FROM seal.checkpoints",
        "UPDATE seal.checkpoints SET note = 'x'",
        "UPDATE events.checkpoints SET position = position - 1 WHERE reader = 'sealer'",
        "UPDATE events.checkpoints SET position = 0 WHERE reader = 'sealer'",
        "DELETE FROM seal.secret",
    ],
)
async def test_the_sealer_signs_nothing_upon_what_was_changed(
    database_url: str, statement: str
) -> None:
    """It stops, and what it would have signed is not there."""
    await _tampered(database_url, statement)
    with pytest.raises(SealError):
        await sealed(database_url)
    async with fixtures.connected(database_url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM seal.checkpoints") <= 1


async def test_another_checkpoint_of_the_same_size_stops_the_sealer(
    database_url: str, tmp_path: Path
) -> None:
    """It is evidence, and stays where it is; other signatures of the same text are none."""
    place = Folder(tmp_path)
    await fixtures.written(database_url, [fixtures.transfer("one")])
    path = tmp_path / offsite.name_of(3)
    there = signed_notes.sign(SignedCheckpoint(KEY.name, 3, bytes(32)).text, [KEY])
    path.write_text(there)
    with pytest.raises(SealError, match="says something else of the same 3 events"):
        await sealed(database_url, place)
    assert path.read_text() == there
    root = merkle.root(await leaf_hashes(database_url))
    path.write_text(signed_notes.sign(SignedCheckpoint(KEY.name, 3, root).text, [NEXT_KEY]))
    assert await sealed(database_url, place) == 3


FORGET = (
    "TRUNCATE seal.tiles, seal.checkpoints",
    "UPDATE events.checkpoints SET position = 0 WHERE reader = 'sealer'",
)
CUT = (
    "ALTER TABLE events.daybook_events DISABLE TRIGGER ALL",
    "TRUNCATE events.daybook_events, command.accounts",
    "UPDATE events.head SET position = 0",
)


async def test_a_tree_that_was_lost_is_made_again_as_it_was(
    database_url: str, tmp_path: Path
) -> None:
    """The checkpoints off the box confirm it, one by one."""
    place = Folder(tmp_path)
    for number in range(3):
        await fixtures.written(database_url, [fixtures.transfer(f"t{number}")])
        await sealed(database_url, place)
    before = await checkpoints(database_url)
    await fixtures.execute(database_url, *FORGET)
    await fixtures.written(database_url, [fixtures.transfer("later")])
    assert await sealed(database_url, place) == 6
    assert (await checkpoints(database_url))[:3] == before
    assert len(await checkpoints(database_url)) == 4


async def test_a_log_that_was_set_back_is_not_sealed(database_url: str, tmp_path: Path) -> None:
    """Neither while it is shorter than what is off the box, nor when it has grown otherwise."""
    place = Folder(tmp_path)
    await fixtures.written(database_url, [fixtures.transfer("one"), fixtures.transfer("two")])
    await sealed(database_url, place)
    await fixtures.execute(database_url, *CUT)
    with pytest.raises(SealError, match="ends before the events that were sealed"):
        await sealed(database_url, place)
    await fixtures.execute(database_url, *FORGET)
    await fixtures.written(database_url, [fixtures.transfer("other")])
    with pytest.raises(SealError, match="a checkpoint of 4 events, and the log has 3"):
        await sealed(database_url, place)
    await fixtures.written(database_url, [fixtures.transfer("three"), fixtures.transfer("four")])
    with pytest.raises(SealError, match="says something else of the same 4 events"):
        await sealed(database_url, place)
    assert len(list(tmp_path.iterdir())) == 1


async def test_while_keys_change_both_sign(database_url: str, tmp_path: Path) -> None:
    """A file of two keys: who trusts either believes the checkpoint."""
    file = tmp_path / "keys"
    file.write_text(f"{NEXT_KEY}\n\n{KEY}\n")
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await sealed(database_url, None, *key_file.signers(str(file)))
    async with fixtures.connected(database_url) as connection:
        note = await connection.fetchval("SELECT note FROM seal.checkpoints")
    for key in (KEY, NEXT_KEY):
        assert signed_notes.opened(note, [key.verifier])


@pytest.mark.parametrize("text", ["", "x", f"{KEY}\n{Signer('daybook/other', bytes(32))}"])
async def test_a_file_without_keys_of_one_name_is_refused(tmp_path: Path, text: str) -> None:
    """The message names the file, and shows no key."""
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(NoteError) as caught:
        key_file.signers(str(file))
    assert str(KEY) not in str(caught.value)
    with pytest.raises(NoteError, match="cannot be read"):
        key_file.signers(str(tmp_path / "nothing"))


async def test_a_bucket_is_only_ever_added_to(
    moto_port: int, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    """As a folder is; and its checkpoints come back in the order of their sizes."""
    url = f"http://{servers.LOOPBACK}:{moto_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    name = f"seals-{uuid4().hex}"
    where = f"s3://{name}/log-1"
    async with offsite.opened(where) as place:
        with pytest.raises(Unavailable):
            await place.put_new("x", b"")
    session = get_session()
    async with session.create_client("s3", region_name="us-east-1", endpoint_url=url) as client:
        await client.create_bucket(Bucket=name)
        await client.put_object(Bucket=name, Key="log-2/x", Body=b"another log's")
    await fixtures.written(database_url, [fixtures.transfer("one")])
    async with offsite.opened(where) as place:
        assert await sealed(database_url, place) == 3
        await fixtures.written(database_url, [fixtures.transfer("two")])
        assert await sealed(database_url, place) == 1
        assert not await place.put_new(offsite.name_of(3), b"something else")
        found = [each async for each in place.all()]
    assert [size for size, _ in found] == [offsite.name_of(3), offsite.name_of(4)]
    for _, note in found:
        assert signed_notes.opened(note.decode(), [KEY.verifier])
    async with offsite.opened(where) as place:
        assert await place.after(offsite.name_of(3)) == offsite.name_of(4)
        assert await place.after(offsite.name_of(4)) is None
    async with buckets.connect("nobody-has-it", "") as nowhere:
        with pytest.raises(Unavailable):
            await nowhere.after("x")
        with pytest.raises(Unavailable):
            await nowhere.get("x")
        with pytest.raises(Unavailable):
            _ = [each async for each in nowhere.all()]


async def test_an_export_holds_the_whole_log(database_url: str, tmp_path: Path) -> None:
    """Checkpoint, tiles and entries: enough to build the tree again; done again, it is added to."""
    folder = tmp_path / "export"
    async with fixtures.connected(database_url) as connection:
        with pytest.raises(NotFound):
            await export.export(connection, folder, lambda *_: None)
        await fixtures.written(
            database_url, [fixtures.transfer(f"t{n}") for n in range(TRANSFERS)], 100
        )
        for _ in range(2):
            await sealed(database_url)
            await export.export(connection, folder, lambda *_: None)
            await fixtures.written(database_url, [fixtures.transfer("more")])
    text = signed_notes.opened((folder / "checkpoint").read_text(), [KEY.verifier])
    signed = signed_notes.checkpoint(text)
    paths = ("000", f"001.p/{signed.size - 256}")
    entries = b"".join((folder / "tile/entries" / path).read_bytes() for path in paths)
    found = []
    while entries:
        length = int.from_bytes(entries[:2], "big")
        found.append(entries[2 : 2 + length])
        entries = entries[2 + length :]
    hashes = [merkle.leaf_hash(entry) for entry in found]
    assert merkle.root(hashes) == signed.root
    tiles = b"".join((folder / "tile/0" / path).read_bytes() for path in paths)
    assert tiles == b"".join(hashes)
    assert (folder / "tile/1/000.p/1").read_bytes() == merkle.root(hashes[:256])

"""The seal over HTTP: the signed checkpoint, tiles, receipts and proofs of consistency.

What is answered to a ledger are its own events, and hashes. A hash tells nothing of another
ledger's event, because of its salt (sealing/leaves.py); how long the log is, positions tell anyway.
"""

import base64
from typing import Any, NamedTuple
from uuid import UUID

from litestar import get
from litestar.params import FromPath
from litestar.types import ASGIApp

from events import codec
from events.codec import UnreadableEventError
from events.types import TransactionEvent
from runtime.database import Executor
from runtime.problems import Invalid, NotFound, Unavailable
from runtime.sql import Row, queries
from sealing import leaves, merkle, receipts, signed_notes, tiles
from sealing.app import SealSide
from sealing.merkle import HASH_BYTES
from sealing.receipts import FORMAT, Receipt
from sealing.signed_notes import Checkpoint
from sealing.tiles import TileError
from web import caller as access
from web import conditions
from web.caller import Caller
from web.http import ENCODER, Answer, HttpRequest, check_path

SQL = queries("sealing")
POSITION = "Daybook-Position"
# A hold's stream has its end in it, too; no transaction has more events of its own than a few.
STREAM_EVENTS_MAX = 100
SIZES = ("from", "to")
SIZE_DIGITS_MAX = 19


class Sealed(NamedTuple):
    """The latest checkpoint, as it was signed and as it is read."""

    note: str
    checkpoint: Checkpoint


@get("/seal/checkpoint")
async def checkpoint(request: HttpRequest) -> ASGIApp:
    """Return the latest signed checkpoint (C2SP tlog-checkpoint)."""
    side, _ = await _may_read(request)
    async with side.pool.acquire() as connection:
        latest = await _latest(connection)
    headers = {POSITION: str(latest.checkpoint.size)}
    return Answer(latest.note.encode(), headers=headers, media_type="text/plain; charset=utf-8")


@get("/seal/tile/{level:str}/{tile:path}")
async def tile(request: HttpRequest, level: FromPath[str], tile: FromPath[str]) -> ASGIApp:
    """Return a tile of hashes (C2SP tlog-tiles), whole or its first ones."""
    side, _ = await _may_read(request)
    try:
        index, width = tiles.parsed(tile.removeprefix("/"))
    except TileError as error:
        raise Invalid("tile_invalid", f"{error}.") from error
    if level not in {str(each) for each in range(tiles.LEVEL_MAX + 1)}:
        detail = f"There are levels 0 to {tiles.LEVEL_MAX}; {tiles.BUNDLE!r} are not served."
        raise Invalid("tile_invalid", detail)
    async with side.pool.acquire() as connection:
        size = (await _latest(connection)).checkpoint.size
        if width > tiles.width_at(int(level), index, size):
            raise NotFound("tile_not_found", f"A log of {size} events has no such tile yet.")
        found = await _tiles(connection, [(int(level), index)])
    hashes = found[int(level), index][: width * HASH_BYTES]
    headers = {POSITION: str(size)}
    return Answer(hashes, headers=headers, media_type="application/octet-stream")


@get("/seal/consistency")
async def consistency(request: HttpRequest) -> ASGIApp:
    """Show that the log of `to` events begins with the log of `from` events."""
    side, _ = await _may_read(request)
    given = request.query_params
    for name in given:
        if name not in SIZES:
            raise Invalid("parameter_unknown", f"`{name}` is no parameter here.", field=name)
    async with side.pool.acquire() as connection:
        size = (await _latest(connection)).checkpoint.size
        old, new = _size(given.get("from"), "from", size), _size(given.get("to"), "to", size)
        if old > new:
            raise Invalid("position_invalid", "`from` must not be after `to`.", field="from")
        needed = _needed(lambda subtree: merkle.consistency_proof(old, new, subtree))
        needed |= set(tiles.tiles_of(0, old) if old else ()) | set(tiles.tiles_of(0, new))
        found = await _tiles(connection, sorted(needed))
    subtree = tiles.subtree(lambda level, index: found[level, index])
    body = {
        name: {"size": each, "root": _encoded(subtree(0, each) if each else merkle.EMPTY_ROOT)}
        for name, each in zip(SIZES, (old, new), strict=True)
    }
    proof = merkle.consistency_proof(old, new, subtree)
    return Answer(
        ENCODER.encode(body | {"proof": [_encoded(node) for node in proof]}),
        headers={POSITION: str(size)},
    )


@get("/transactions/{transaction_id:str}/receipt")
async def receipt(request: HttpRequest, transaction_id: FromPath[str]) -> ASGIApp:
    """Return a transaction's receipt; wait boundedly if its last event is not sealed yet."""
    side, caller = await _may_read(request)
    try:
        stream_id = UUID(transaction_id)
    except ValueError:
        raise _no_transaction(transaction_id) from None
    async with side.pool.acquire() as connection:
        rows = await connection.fetch(SQL["stream"], stream_id, STREAM_EVENTS_MAX)
    if not rows or not _begins_in(rows[0], caller.ledger):
        raise _no_transaction(transaction_id)
    last: int = rows[-1]["notification_id"]
    wait_s = conditions.preferred_wait_s(request.headers, side.settings.wait_s_max)
    timeout_s = conditions.WAIT_DEFAULT_S if wait_s is None else wait_s
    if not await side.sealed.reached(last, timeout_s):
        detail = f"The event at position {last} is not sealed yet."
        raise Unavailable("not_sealed_yet", detail)
    async with side.pool.acquire() as connection:
        made = await _receipt(connection, stream_id, rows)
    size = signed_notes.checkpoint(signed_notes.unverified(made.checkpoint)).size
    return Answer(ENCODER.encode(made), headers={POSITION: str(size)})


ROUTES = [checkpoint, tile, consistency, receipt]


async def _may_read(request: HttpRequest) -> tuple[SealSide, Caller]:
    side: SealSide = request.app.state.seal_side
    caller = await access.caller(request.headers, side.tokens, "read")
    check_path(request)
    await conditions.ensure(request.headers, side.sealed.reached, side.settings.wait_s_max)
    return side, caller


async def _receipt(connection: Executor, stream_id: UUID, rows: list[Any]) -> Receipt:
    latest = await _latest(connection)
    size = latest.checkpoint.size
    secret: bytes = await connection.fetchval(SQL["secret"])
    sealed = [row["notification_id"] - 1 for row in rows]
    needed: set[tuple[int, int]] = set()
    for index in sealed:
        needed |= _needed(lambda subtree, at=index: merkle.inclusion_proof(at, size, subtree))
    found = await _tiles(connection, sorted(needed))
    subtree = tiles.subtree(lambda level, index: found[level, index])
    events = [
        receipts.event(
            leaves.leaf(row, secret),
            merkle.inclusion_proof(index, size, subtree),
        )
        for index, row in zip(sealed, rows, strict=True)
    ]
    return Receipt(FORMAT, stream_id, latest.note, events)


def _needed(proof: Any) -> set[tuple[int, int]]:  # noqa: ANN401 - a proof, but for its tree
    """Return the tiles that a proof asks for, by asking for it without any."""
    asked: set[tuple[int, int]] = set()

    def subtree(start: int, end: int) -> bytes:
        asked.update(tiles.tiles_of(start, end))
        return b""

    proof(subtree)
    return asked


async def _tiles(
    connection: Executor, wanted: list[tuple[int, int]]
) -> dict[tuple[int, int], bytes]:
    """Return tiles by level and index."""
    if not wanted:
        return {}
    rows = await connection.fetch(SQL["tiles"], *map(list, zip(*wanted, strict=True)))
    return {(row["level"], row["place"]): bytes(row["nodes"]) for row in rows}


async def _latest(connection: Executor) -> Sealed:
    row = await connection.fetchrow(SQL["latest_checkpoint"])
    if row is None:
        raise Unavailable("not_sealed_yet", "Nothing of this log is sealed yet.")
    return Sealed(row["note"], signed_notes.checkpoint(signed_notes.unverified(row["note"])))


def _size(text: str | None, name: str, size: int) -> int:
    """Return a size up to the log's. Raises Invalid."""
    digits = text is not None and text.isascii() and text.isdigit()
    if text is None or not digits or len(text) > SIZE_DIGITS_MAX or int(text) > size:
        detail = f"`{name}` is a number of events up to the {size} that are sealed."
        raise Invalid("position_invalid", detail, field=name)
    return int(text)


def _begins_in(row: Row, ledger: str) -> bool:
    """Tell whether a stream's first event begins a transaction of a ledger."""
    try:
        event = codec.decode(row["topic"], row["state"])
    except UnreadableEventError:
        return False
    return isinstance(event, TransactionEvent) and event.ledger == ledger


def _no_transaction(transaction_id: str) -> NotFound:
    return NotFound("transaction_not_found", f"There is no transaction {transaction_id!r}.")


def _encoded(node: bytes) -> str:
    return base64.b64encode(node).decode()

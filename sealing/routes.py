"""The seal over HTTP: the signed checkpoint, tiles, receipts and proofs of consistency.

What is answered to a ledger are its own events, and hashes. A hash tells nothing of another
ledger's event, because of its salt (sealing/leaves.py); how long the log is, positions tell anyway.
"""

import base64
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from litestar.types import ASGIApp
from msgspec import Meta, Struct, field

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
from sealing.signed_notes import SignedCheckpoint
from sealing.tiles import TileError
from web.answers import POSITION, Answer, Reply
from web.caller import Caller
from web.freshness import BIGGEST, WAIT_DEFAULT_S, Fresh
from web.operations import merged, operation

SQL = queries("sealing")
TAG = "Proving"
TEXT = "text/plain"
BYTES = "application/octet-stream"
NOT_SEALED = {503: ("not_sealed_yet",)}
UUID_SCHEMA = {"type": "string", "format": "uuid"}
# A hold's stream has its end in it, too; no transaction has more events of its own than a few.
STREAM_EVENTS_MAX = 100


class Sealed(NamedTuple):
    """The latest checkpoint, as it was signed and as it is read."""

    note: str
    checkpoint: SignedCheckpoint


Size = Annotated[int, Meta(ge=0, le=BIGGEST, extra={"code": "position_invalid"})]


class OfTransaction(Struct, frozen=True):
    """A transaction that is in the log."""

    transaction_id: Annotated[
        str, Meta(description="The `messageId` of the submission.", extra_json_schema=UUID_SCHEMA)
    ]


class OfTile(Struct, frozen=True):
    """A tile of hashes."""

    level: Annotated[
        str,
        Meta(
            pattern=f"^[0-{tiles.LEVEL_MAX}]$",
            description="0 for the leaves; each level is 256 times narrower.",
            extra={"code": "tile_invalid"},
        ),
    ]
    tile: Annotated[
        str,
        Meta(description="Its index in groups of three digits, `x001/067`; `.p/W`: its first W."),
    ]


class Sizes(Struct, frozen=True, kw_only=True):
    """Two sizes of the log."""

    from_: Annotated[Size, Meta(description="The smaller size.")] = field(name="from")
    to: Annotated[Size, Meta(description="The larger size.")]


class SizedRoot(Struct):
    """The root of the log's first `size` events, as base64."""

    size: int
    root: str


class Consistency(Struct):
    """Two roots, and the hashes that lead from the first to the second (RFC 9162), as base64."""

    from_: SizedRoot = field(name="from")
    to: SizedRoot
    proof: list[str]


@operation(
    "GET",
    "/seal/checkpoint",
    name="sealCheckpoint",
    tag=TAG,
    scope="read",
    answers={200: {TEXT: str}},
    problems=NOT_SEALED,
)
async def checkpoint(side: SealSide, headers: Fresh) -> ASGIApp:
    """Return the latest signed checkpoint (C2SP tlog-checkpoint)."""
    async with side.pool.acquire() as connection:
        latest = await _latest(connection)
    return Answer(
        latest.note.encode(),
        headers={POSITION: str(latest.checkpoint.size)},
        media_type=f"{TEXT}; charset=utf-8",
    )


@operation(
    "GET",
    "/seal/tile/{level}/{tile:path}",
    name="sealTile",
    tag=TAG,
    scope="read",
    answers={200: {BYTES: bytes}},
    problems=merged(NOT_SEALED, {400: ("tile_invalid",), 404: ("tile_not_found",)}),
)
async def tile(side: SealSide, path: OfTile, headers: Fresh) -> ASGIApp:
    """Return a tile of hashes (C2SP tlog-tiles), whole or its first ones."""
    level = int(path.level)
    try:
        index, width = tiles.parsed(path.tile)
    except TileError as error:
        raise Invalid("tile_invalid", f"{error}.", field="tile") from error
    async with side.pool.acquire() as connection:
        size = (await _latest(connection)).checkpoint.size
        if width > tiles.width_at(level, index, size):
            raise NotFound("tile_not_found", f"A log of {size} events has no such tile yet.")
        found = await _tiles(connection, [(level, index)])
    hashes = found[level, index][: width * HASH_BYTES]
    return Answer(hashes, headers={POSITION: str(size)}, media_type=BYTES)


@operation(
    "GET",
    "/seal/consistency",
    name="sealConsistency",
    tag=TAG,
    scope="read",
    answers={200: Consistency},
    problems=NOT_SEALED,
)
async def consistency(side: SealSide, query: Sizes, headers: Fresh) -> Reply:
    """Prove that the log of `to` events begins with the log of `from` events."""
    async with side.pool.acquire() as connection:
        size = (await _latest(connection)).checkpoint.size
        old, new = _within(query.from_, "from", size), _within(query.to, "to", size)
        if old > new:
            raise Invalid("position_invalid", "`from` must not be after `to`.", field="from")
        needed = _needed(lambda subtree: merkle.consistency_proof(old, new, subtree))
        needed |= set(tiles.tiles_of(0, old) if old else ()) | set(tiles.tiles_of(0, new))
        found = await _tiles(connection, sorted(needed))
    subtree = tiles.subtree(lambda level, index: found[level, index])
    first, second = (
        SizedRoot(each, _encoded(subtree(0, each) if each else merkle.EMPTY_ROOT))
        for each in (old, new)
    )
    proof = merkle.consistency_proof(old, new, subtree)
    return Reply(Consistency(first, second, [_encoded(node) for node in proof]), position=size)


@operation(
    "GET",
    "/transactions/{transaction_id}/receipt",
    name="receipt",
    tag=TAG,
    scope="read",
    answers={200: Receipt},
    problems=merged(NOT_SEALED, {404: ("transaction_not_found",)}),
)
async def receipt(side: SealSide, caller: Caller, path: OfTransaction, headers: Fresh) -> Reply:
    """Return a transaction's receipt: all that shows, offline, that it is in the signed log.

    It waits, boundedly, if the transaction's last event is not sealed yet.
    """
    try:
        stream_id = UUID(path.transaction_id)
    except ValueError:
        raise _no_transaction(path.transaction_id) from None
    async with side.pool.acquire() as connection:
        rows = await connection.fetch(SQL["stream"], stream_id, STREAM_EVENTS_MAX)
    if not rows or not _begins_in(rows[0], caller.ledger):
        raise _no_transaction(path.transaction_id)
    last: int = rows[-1]["notification_id"]
    wait_s = WAIT_DEFAULT_S if headers.prefer is None else headers.prefer
    if not await side.sealed.reached(last, min(wait_s, side.settings.wait_s_max)):
        detail = f"The event at position {last} is not sealed yet."
        raise Unavailable("not_sealed_yet", detail)
    async with side.pool.acquire() as connection:
        made = await _receipt(connection, stream_id, rows)
    size = signed_notes.checkpoint(signed_notes.unverified(made.checkpoint)).size
    return Reply(made, position=size)


OPERATIONS = [receipt, checkpoint, tile, consistency]


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


def _within(size: int, name: str, sealed: int) -> int:
    """Return a size that is at most the sealed one. Raises Invalid."""
    if size > sealed:
        detail = f"`{name}` is a number of events up to the {sealed} that are sealed."
        raise Invalid("position_invalid", detail, field=name)
    return size


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

"""A file into a statement with its matches, in one transaction; once more, it changes nothing.

    #   round trip
    1   the account
        read the file, in a thread
    2   BEGIN; wait for one's turn with the account
    3   the checkpoint
    4   insert the statement and its lines; there already: COMMIT
    5   the lines and the entries that are in no match; what was rejected before
        match, in a thread
    6   insert matches, their links, and candidates
    7   COMMIT

Matching again is the same from 5 on, for what is left.
"""

import asyncio
import hashlib
import logging
from typing import NamedTuple
from uuid import UUID

import msgspec

from bank_statements import store
from bank_statements.formats import reading
from bank_statements.formats.reading import Reader
from bank_statements.matching import rules
from bank_statements.matching.types import Match, MatchingTerms
from bank_statements.store import SQL, MirrorAccount
from events import checkpoints
from events.schema import Schema
from runtime.database import Executor

ROLE = "daybook_matcher"

# The library logs what it cannot read, which is what somebody did with their money.
logging.getLogger("mt940").setLevel(logging.CRITICAL)


class Imported(NamedTuple):
    """A statement; `new` if it was not there before."""

    statement_id: UUID
    new: bool
    position: int


class Upload(msgspec.Struct, frozen=True):
    """A file, how it is to be read and matched, and who says so."""

    data: bytes
    how: Reader
    terms: MatchingTerms
    imported_by: str


async def import_file(
    connection: Executor, ledger: str, account_id: str, upload: Upload, schema: Schema
) -> Imported:
    """Keep a statement and propose its matches. Raises Invalid, NotFound, TooLarge."""
    of = await store.account(connection, ledger, account_id)
    # Both hold the interpreter only now and then, so the process goes on answering.
    digest = hashlib.sha256(upload.data).digest()
    found = await asyncio.to_thread(reading.read, upload.data, upload.how, of.currency, schema)
    known_as = store.statement_id(of, upload.how, digest)
    async with connection.transaction():
        await store.lock(connection, ledger, account_id)
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        new = await store.add(
            connection,
            of,
            upload.how,
            digest,
            found,
            terms=upload.terms,
            position=position,
            imported_by=upload.imported_by,
        )
        if new:
            await _propose(connection, of, known_as, upload.terms)
    return Imported(known_as, new, position)


async def match_again(
    connection: Executor, ledger: str, statement_id: UUID, terms: MatchingTerms
) -> Imported:
    """Propose matches for what is left, with the entries that there are now. Raises NotFound."""
    row = await store.statement(connection, ledger, statement_id)
    of = await store.account(connection, ledger, row["account_id"])
    async with connection.transaction():
        await store.lock(connection, ledger, of.account_id)
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        told = msgspec.json.encode(terms).decode()
        await connection.execute(SQL["matched_again"], statement_id, told, position)
        await _propose(connection, of, statement_id, terms)
    return Imported(statement_id, new=False, position=position)


async def _propose(
    connection: Executor, of: MirrorAccount, statement_id: UUID, terms: MatchingTerms
) -> None:
    lines = await store.lines_left(connection, statement_id)
    if not lines:
        return
    booked = [line.booked_on for line in lines]
    days = max(terms.days, terms.reference_days)
    entries = await store.entries_left(connection, of, min(booked), max(booked), days)
    refused = await store.rejected(connection, statement_id)
    found = await asyncio.to_thread(rules.match, lines, entries, terms)
    proposed = [match for match in found.matches if _links(match) not in refused]
    await store.add_matches(connection, statement_id, proposed)
    await store.set_candidates(connection, statement_id, found.candidates)


def _links(match: Match) -> tuple[tuple[int, ...], tuple[int, ...]]:
    lines = tuple(sorted(line.number for line in match.lines))
    return lines, tuple(entry.position for entry in sorted(match.entries))

"""Statements, lines and matches in the database, and our entries beside them.

Everything takes a connection of the matcher's role. `lock` is taken before anything of an account
is matched or decided, so that two who do so take turns.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from bank_statements.formats.reading import Reader
from bank_statements.matching.types import Match, MatchableEntry, MatchingTerms
from bank_statements.statement import Statement, StatementLine, mismatches
from events.types import Side
from runtime.database import Executor
from runtime.problems import NotFound, TooLarge
from runtime.sql import Row, as_rows, queries

SQL = queries("bank_statements")
ENTRIES_MAX = 200_000
NAMESPACE = uuid5(NAMESPACE_URL, "urn:daybook:external-statement")


class MirrorAccount(msgspec.Struct, frozen=True):
    """The account that mirrors somebody else's."""

    ledger: str
    account_id: str
    currency: str
    normal_side: Side

    def signed(self, side: str, amount: int) -> int:
        """Return an entry's amount as a statement has it: positive is money in."""
        return amount if side == self.normal_side else -amount


class Candidate(msgspec.Struct, frozen=True):
    """An entry that an unmatched line could be; `minor` is signed."""

    transaction_id: UUID
    position: int
    line: int
    booked_on: date
    minor: str


class _LineRow(msgspec.Struct):
    line_number: int
    booked_on: date
    value_on: date | None
    amount: int
    refs: tuple[str, ...]
    counterparty: str | None
    description: str | None


class _MatchRow(msgspec.Struct):
    match_number: int
    status: str
    rule: str
    confidence: int
    explanation: str
    amount_difference: int
    days_apart: int


class _LinkRow(msgspec.Struct):
    match_number: int
    line_number: int


class _EntryRow(msgspec.Struct):
    match_number: int
    position: int
    line: int
    transaction_id: UUID
    amount: int


class _CandidatesRow(msgspec.Struct):
    line_number: int
    candidates: str


async def account(connection: Executor, ledger: str, account_id: str) -> MirrorAccount:
    """Return an account. Raises NotFound."""
    row = await connection.fetchrow(SQL["matched_account"], ledger, account_id)
    if row is None:
        raise NotFound("account_not_found", f"There is no account {account_id!r}.")
    return MirrorAccount(ledger, account_id, row["currency"], Side(row["normal_side"]))


async def lock(connection: Executor, ledger: str, account_id: str) -> None:
    """Wait for one's turn with an account; it ends with the transaction."""
    await connection.execute(SQL["lock_matching"], ledger, account_id)


async def statement(connection: Executor, ledger: str, statement_id: UUID) -> Row:
    """Return a statement's row. Raises NotFound."""
    row = await connection.fetchrow(SQL["external_statement"], ledger, statement_id)
    if row is None:
        raise NotFound("statement_not_found", f"There is no statement {statement_id}.")
    return row


def statement_id(of: MirrorAccount, how: Reader, digest: bytes) -> UUID:
    """Return the id of a file: the same for the same bytes of the same account, read alike."""
    made_of = (of.ledger, of.account_id, msgspec.json.encode(how).decode(), digest.hex())
    return uuid5(NAMESPACE, "|".join(made_of))


async def add(  # noqa: PLR0913 - each is a column
    connection: Executor,
    of: MirrorAccount,
    how: Reader,
    digest: bytes,
    found: Statement,
    *,
    terms: MatchingTerms,
    position: int,
    imported_by: str,
) -> bool:
    """Add a statement with its lines; return False if it was there already."""
    known_as = statement_id(of, how, digest)
    added = await connection.fetchval(
        SQL["add_statement"],
        known_as,
        of.ledger,
        of.account_id,
        digest,
        msgspec.json.encode(how).decode(),
        msgspec.json.encode(terms).decode(),
        found.account,
        found.currency,
        found.starts_on,
        found.ends_on,
        found.opening,
        found.closing,
        as_rows([_texts(each) for each in mismatches(found)]),
        position,
        imported_by,
    )
    if added:
        rows = [
            _LineRow(
                line.number,
                line.booked_on,
                line.value_on,
                line.amount,
                line.references,
                line.counterparty,
                line.text,
            )
            for line in found.lines
        ]
        await connection.execute(SQL["add_lines"], known_as, as_rows(rows))
    return bool(added)


def _texts(struct: msgspec.Struct) -> dict[str, object]:
    """Return a struct for JSON that keeps every digit: whole numbers as text."""
    return {
        name: str(value) if type(value) is int else value
        for name, value in msgspec.structs.asdict(struct).items()
    }


def bounds(first: date, last: date, days: int = 0) -> tuple[datetime, datetime]:
    """Return from when until before when (UTC) it is these days, or so many more on either side."""
    around = timedelta(days=days)
    start = datetime.combine(first - around, time(), UTC)
    return start, datetime.combine(last + around + timedelta(days=1), time(), UTC)


def day(moment: datetime) -> date:
    """Return the day of a moment, in UTC as everything here."""
    return moment.astimezone(UTC).date()


async def lines_left(connection: Executor, of: UUID) -> list[StatementLine]:
    """Return a statement's lines that are in no match."""
    return [
        StatementLine(
            number=row["line_number"],
            booked_on=row["booked_on"],
            value_on=row["value_on"],
            amount=row["amount"],
            references=tuple(row["refs"]),
            counterparty=row["counterparty"],
            text=row["description"],
        )
        for row in await connection.fetch(SQL["lines_to_match"], of)
    ]


async def entries_left(
    connection: Executor, of: MirrorAccount, first: date, last: date, days: int
) -> list[MatchableEntry]:
    """Return an account's entries of a time that are in no match. Raises TooLarge."""
    rows = await connection.fetch(
        SQL["entries_to_match"],
        of.ledger,
        of.account_id,
        *bounds(first, last, days),
        ENTRIES_MAX + 1,
    )
    if len(rows) > ENTRIES_MAX:
        detail = (
            f"The account has more than {ENTRIES_MAX:,} unmatched entries around the statement's "
            f"days. Import it in parts."
        )
        raise TooLarge("statement_too_long", detail)
    return [_entry(row, of) for row in rows]


def _entry(row: Row, of: MirrorAccount) -> MatchableEntry:
    transaction_id: UUID = row["transaction_id"]
    outgoing = row["side"] == Side.DEBIT
    other = row["destination_account_id" if outgoing else "source_account_id"]
    own = (row["reference"], row["idempotency_key"], transaction_id.hex, str(transaction_id))
    return MatchableEntry(
        row["position"],
        row["line"],
        transaction_id,
        day(row["booked_at"]),
        of.signed(row["side"], row["amount"]),
        tuple(text for text in own if text),
        " ".join(text for text in (row["description"], other) if text),
    )


async def rejected(connection: Executor, of: UUID) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the lines and the positions of what was rejected."""
    rows = await connection.fetch(SQL["rejected_links"], of)
    return {(tuple(row["line_numbers"]), tuple(row["positions"])) for row in rows}


async def add_matches(
    connection: Executor, of: UUID, found: Sequence[Match], status: str = "proposed"
) -> int:
    """Add matches, numbered on from those that there are; return the last one's number."""
    last: int = await connection.fetchval(SQL["last_match"], of)
    numbered = list(enumerate(found, last + 1))
    matches = [
        _MatchRow(
            number,
            status,
            match.rule,
            match.confidence,
            match.explanation,
            match.amount_difference,
            match.days_apart,
        )
        for number, match in numbered
    ]
    lines = [_LinkRow(number, line.number) for number, match in numbered for line in match.lines]
    entries = [
        _EntryRow(number, entry.position, entry.line, entry.transaction_id, entry.amount)
        for number, match in numbered
        for entry in match.entries
    ]
    await connection.execute(SQL["add_matches"], of, as_rows(matches))
    await connection.execute(SQL["add_match_lines"], of, as_rows(lines))
    await connection.execute(SQL["add_match_entries"], of, as_rows(entries))
    return last + len(numbered)


async def set_candidates(
    connection: Executor, of: UUID, candidates: dict[int, list[MatchableEntry]]
) -> None:
    """Keep what each unmatched line could be."""
    rows = [
        _CandidatesRow(number, as_rows([_candidate(entry) for entry in entries]))
        for number, entries in candidates.items()
    ]
    await connection.execute(SQL["clear_candidates"], of)
    await connection.execute(SQL["set_candidates"], of, as_rows(rows))


def _candidate(entry: MatchableEntry) -> Candidate:
    return Candidate(
        entry.transaction_id, entry.position, entry.line, entry.booked_on, str(entry.amount)
    )

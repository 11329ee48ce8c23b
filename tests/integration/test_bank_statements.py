"""Statements against a real ledger: our own exports match whole, nothing is matched twice."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec
import pytest

from bank_statements import findings, importer, review, store, summary
from bank_statements.differences import DifferenceKind
from bank_statements.findings import DifferencePlace, StatementOfAccount
from bank_statements.formats import mapped_csv
from bank_statements.formats.reading import Format, Reader
from bank_statements.importer import Imported, Upload
from bank_statements.matching.types import MatchingTerms
from bank_statements.parameters import Linked, Override
from bank_statements.store import SQL
from command_side.domain.commands import Command
from events.types import Side, transaction_id
from query_side.accounts.parameters import PointRequest
from query_side.statements import as_camt053, as_csv
from query_side.statements import statement as statements
from query_side.statements.parameters import Basis, StatementPeriod
from runtime import database
from runtime.database import Connection
from runtime.problems import Invalid, NotFound, Outdated
from tests.integration import fixtures

MATCHER = importer.ROLE
BANK = "bank:main"
DAY = fixtures.START.date()
PERIOD = StatementPeriod(fixtures.START - timedelta(days=40), fixtures.START + timedelta(days=40))
# How our own CSV is read as a bank's: what the ledger debits a bank account with came in.
OWN_CSV = {
    "date": "effective_at",
    "debit": "credit",
    "credit": "debit",
    "reference": "transaction_id|reference",
    "description": "description",
    "counterparty": "counterparty_account_id",
    "currency": "currency",
    "balance": "balance",
    "only": "row:entry",
}
SIMPLE = {"date": "date", "amount": "amount", "reference": "reference", "description": "text"}


def csv_file(*rows: str) -> bytes:
    """Return a file with the columns of SIMPLE."""
    return "\n".join(["date,amount,reference,text", *rows, ""]).encode()


def upload(
    data: bytes, terms: MatchingTerms | None = None, columns: dict[str, str] | None = None
) -> Upload:
    """Return a CSV file as it is uploaded."""
    how = Reader(Format.CSV, mapped_csv.mapping(SIMPLE if columns is None else columns))
    return Upload(data, how, terms or MatchingTerms(), "alice")


@pytest.fixture
async def matcher(database_url: str) -> AsyncIterator[Connection]:
    """Connect as the matcher."""
    async with fixtures.connected(database_url, MATCHER) as connection:
        yield connection


async def posted(database_url: str, *commands: Command) -> None:
    """Append commands and project them."""
    await fixtures.written(database_url, commands)
    await fixtures.project(database_url)


async def of(connection: Connection, done: Imported, ledger: str = "demo") -> StatementOfAccount:
    """Return a statement as findings want it."""
    row = await store.statement(connection, ledger, done.statement_id)
    account = await store.account(connection, ledger, row["account_id"])
    return StatementOfAccount(row, account, fixtures.SCHEMA.decimals(row["currency"]))


async def found(connection: Connection, done: Imported) -> dict[DifferenceKind, int]:
    """Return what differs, by kind; the list has as many as the totals count."""
    statement = await of(connection, done)
    totals = await findings.totals(connection, statement)
    place: DifferencePlace | None = DifferencePlace()
    listed = []
    while place is not None:
        page, place = await findings.page(connection, statement, place, 2)
        listed += page
    for kind, count in totals.discrepancies.items():
        assert sum(finding.kind is kind for finding in listed) == count
    return {kind: count for kind, count in totals.discrepancies.items() if count}


async def imported(
    connection: Connection, file: Upload, account_id: str = BANK, ledger: str = "demo"
) -> Imported:
    """Import a file."""
    return await importer.import_file(connection, ledger, account_id, file, fixtures.SCHEMA)


async def exported(database_url: str, account_id: str, form: Format) -> bytes:
    """Return an account's statement as the query side writes it."""
    pool = await asyncpg.create_pool(
        database_url,
        min_size=1,
        max_size=1,
        init=database._prepare,  # noqa: SLF001 - as its own
    )
    try:
        head = await statements.head(
            pool, "demo", account_id, PERIOD, Basis.EFFECTIVE, PointRequest()
        )
        pages = statements.lines(pool, head)
        decimals = fixtures.SCHEMA.decimals(head.account.currency)
        if form is Format.CSV:
            chunks = as_csv.statement(head, pages, decimals)
        else:
            chunks = as_camt053.statement(head, pages, decimals, datetime.now(UTC))
        return b"".join([chunk async for chunk in chunks])
    finally:
        await pool.close()


@pytest.mark.parametrize("form", [Format.CSV, Format.CAMT053])
@pytest.mark.parametrize("account_id", [BANK, "alice", "bob"])
async def test_our_own_export_matches_whole(
    database_url: str, matcher: Connection, form: Format, account_id: str
) -> None:
    """Of a log with every kind of event: every line and every entry, exactly, none twice."""
    await fixtures.rich_log(database_url)
    await fixtures.project(database_url)
    data = await exported(database_url, account_id, form)
    # The ledger's own side of the account decides which column is money in.
    own = OWN_CSV if account_id == BANK else OWN_CSV | {"debit": "debit", "credit": "credit"}
    file = upload(data, columns=own)
    if form is Format.CAMT053:
        file = msgspec.structs.replace(file, how=Reader(form))
    done = await imported(matcher, file, account_id)
    assert await found(matcher, done) == {}
    totals = await findings.totals(matcher, await of(matcher, done))
    entries = await matcher.fetch(
        "SELECT side, amount FROM read.entries WHERE ledger = 'demo' AND account_id = $1 "
        "AND kind = 'posted'",
        account_id,
    )
    assert totals.lines.matched.count == len(entries) > 0
    into = Side.DEBIT if account_id == BANK else Side.CREDIT
    assert totals.lines.matched.incoming == sum(r["amount"] for r in entries if r["side"] == into)
    again = await imported(matcher, file, account_id)
    assert again == (done.statement_id, False, done.position)
    assert (await findings.totals(matcher, await of(matcher, done))) == totals


async def test_what_has_no_counterpart_is_found_on_either_side(
    database_url: str, matcher: Connection
) -> None:
    """A line, an entry, another amount under one reference, another day; each once."""
    await posted(
        database_url,
        fixtures.transfer("same", BANK, "alice", 500, reference="R-1"),
        fixtures.transfer("fee", BANK, "alice", 1_000, reference="R-2"),
        fixtures.transfer("late", BANK, "alice", 700, reference="R-3"),
        fixtures.transfer("ours", BANK, "alice", 40),
    )
    file = csv_file(
        f"{DAY},5.00,R-1,x",
        f"{DAY},10.25,R-2,x",
        f"{DAY + timedelta(days=9)},7.00,R-3,x",
        f"{DAY},-99.00,R-9,nobody knows",
    )
    done = await imported(matcher, upload(file))
    assert await found(matcher, done) == {
        DifferenceKind.UNMATCHED_STATEMENT_LINE: 1,
        DifferenceKind.UNMATCHED_ENTRY: 1,
        DifferenceKind.AMOUNT_DIFFERS: 1,
        DifferenceKind.DATE_DIFFERS: 1,
    }
    page, _ = await findings.page(matcher, await of(matcher, done), DifferencePlace(), 10)
    line, entry, amount, day = page
    assert (line.expected, line.actual) == ("nothing", f"99.00 USD out on {DAY}")
    assert "nobody knows" in line.explanation
    assert (entry.expected, entry.transaction_id) == (
        f"0.40 USD in on {DAY}",
        transaction_id("demo", "ours"),
    )
    assert (amount.expected, amount.actual) == ("10.00 USD", "10.25 USD")
    assert day.actual == "9 days apart"
    of_ledger = await summary.of_ledger(matcher, "demo")
    assert of_ledger[BANK].matched == summary.Sums(3, 2225, 0)
    assert of_ledger[BANK].unmatched == summary.Sums(1, 0, 9900)
    assert await summary.of_ledger(matcher, "other") == {}


async def test_an_entry_is_in_one_match_of_all_statements(
    database_url: str, matcher: Connection
) -> None:
    """The second statement finds it taken, at once or afterwards; a rejection sets it free."""
    await posted(database_url, fixtures.transfer("one", BANK, "alice", 500, reference="R-1"))
    files = [upload(csv_file(f"{DAY},5.00,R-1,{text}")) for text in "abcd"]

    async def at_once(file: Upload) -> Imported:
        async with fixtures.connected(database_url, MATCHER) as connection:
            return await imported(connection, file)

    done = await asyncio.gather(*map(at_once, files))
    left = [await found(matcher, each) for each in done]
    assert sorted(map(len, left)) == [0, 1, 1, 1]
    winner = done[left.index({})]
    other = next(each for each in done if each != winner)
    await review.decide(matcher, "demo", winner.statement_id, 1, "rejected", "bob", "twice")
    assert await found(matcher, winner) == {
        DifferenceKind.UNMATCHED_STATEMENT_LINE: 1,
        DifferenceKind.UNMATCHED_ENTRY: 1,
    }
    await importer.match_again(matcher, "demo", winner.statement_id, MatchingTerms())
    assert DifferenceKind.UNMATCHED_STATEMENT_LINE in await found(matcher, winner)
    await importer.match_again(matcher, "demo", other.statement_id, MatchingTerms())
    assert await found(matcher, other) == {}
    with pytest.raises(asyncpg.UniqueViolationError, match="match_entries_once"):
        await matcher.execute(
            "UPDATE external.match_entries SET live = TRUE WHERE statement_id = $1",
            winner.statement_id,
        )


async def test_a_person_may_link_what_no_rule_would(database_url: str, matcher: Connection) -> None:
    """The proposals in the way are rejected, what was accepted is not; everything is kept."""
    await posted(
        database_url,
        fixtures.transfer("one", BANK, "alice", 500, reference="R-1"),
        fixtures.transfer("two", BANK, "alice", 900, reference="R-2"),
    )
    done = await imported(
        matcher, upload(csv_file(f"{DAY},5.00,R-1,", f"{DAY},9.00,R-2,", f"{DAY},14.00,,"))
    )
    known_as = done.statement_id

    def linking(line: int, *keys: str) -> Override:
        entries = tuple(Linked(str(transaction_id("demo", key))) for key in keys)
        return Override((line,), entries, "one payment")

    number = await review.link(matcher, "demo", known_as, linking(4, "one", "two"), "carol")
    rows = await matcher.fetch(SQL["matches_after"], known_as, 0, None, 10)
    assert [(row["match_number"], row["status"], row["rule"]) for row in rows] == [
        (1, "rejected", "reference"),
        (2, "rejected", "reference"),
        (number, "accepted", "override"),
    ]
    for row in rows:
        (decision,) = msgspec.json.decode(row["decisions"])
        assert (decision["decided_by"], decision["reason"]) == ("carol", "one payment")
    assert await found(matcher, done) == {DifferenceKind.UNMATCHED_STATEMENT_LINE: 2}
    with pytest.raises(Outdated, match="match_accepted"):
        await review.link(matcher, "demo", known_as, linking(2, "one"), "carol")
    with pytest.raises(NotFound, match="entry_not_found"):
        await review.link(matcher, "demo", known_as, linking(2, "never"), "carol")
    with pytest.raises(NotFound, match="statement_line_not_found"):
        await review.link(matcher, "demo", known_as, linking(77, "one"), "carol")
    with pytest.raises(Outdated, match="match_rejected"):
        await review.decide(matcher, "demo", known_as, 1, "accepted", "carol", "no")


async def test_what_is_late_in_the_ledger_is_matched_later(
    database_url: str, matcher: Connection
) -> None:
    """The statement came first; matched again, it agrees."""
    await posted(database_url, fixtures.transfer("open", BANK, "world", 1))
    done = await imported(matcher, upload(csv_file(f"{DAY},5.00,R-1,x", f"{DAY},0.01,,")))
    assert DifferenceKind.UNMATCHED_STATEMENT_LINE in await found(matcher, done)
    await posted(database_url, fixtures.transfer("late", BANK, "alice", 500, reference="r-1"))
    await importer.match_again(matcher, "demo", done.statement_id, MatchingTerms())
    assert await found(matcher, done) == {}


async def test_the_same_file_and_ledger_give_the_same_matches(
    admin: Connection, postgres_server: str, database_url: str
) -> None:
    """Two databases, one log: row by row the same, with candidates where it is not clear."""
    rng = random.Random(7)
    commands, rows = [], []
    for number in range(60):
        minor, text = rng.choice(((100, "1.00"), (250, "2.50"), (999, "9.99")))
        commands.append(fixtures.transfer(f"k{number}", BANK, "payer", minor))
        known = f"K{number}" if rng.random() < 0.5 else ""
        rows.append(f"{DAY + timedelta(days=rng.randint(0, 2))},{text},{known},")
    file = csv_file(*rows[5:])
    seen = []
    await posted(database_url, *commands)
    async with fixtures.database_made(admin, database_url) as name:
        for url in (database_url, fixtures.beside(postgres_server, name)):
            async with fixtures.connected(url, MATCHER) as connection:
                done = await imported(connection, upload(file))
                matches = await connection.fetch(
                    SQL["matches_after"], done.statement_id, 0, None, 500
                )
                lines = await connection.fetch(SQL["lines_after"], done.statement_id, 0, 500)
            seen.append(
                (
                    [tuple(row.values())[:7] for row in matches],
                    [tuple(row.values()) for row in lines],
                )
            )
    assert seen[0] == seen[1]
    assert len(seen[0][0]) > 20
    assert any(row[7] != "[]" for row in seen[0][1])


async def test_a_file_that_is_wrong_leaves_nothing_behind(
    database_url: str, matcher: Connection
) -> None:
    """Neither a bad line nor a foreign account makes a statement."""
    await posted(database_url, fixtures.transfer("one", BANK, "alice", 500))
    for file, account_id, code in (
        (csv_file(f"{DAY},5.00,,", f"{DAY},5.001,,"), BANK, "statement_line_invalid"),
        (csv_file(f"{DAY},5.00,,"), "nobody", "account_not_found"),
    ):
        with pytest.raises((Invalid, NotFound), match=code):
            await imported(matcher, upload(file), account_id)
    with pytest.raises(NotFound):
        await imported(matcher, upload(csv_file(f"{DAY},5.00,,")), ledger="other")
    assert await matcher.fetchval("SELECT count(*) FROM external.statements") == 0
    with pytest.raises(NotFound):
        await store.statement(matcher, "demo", UUID(int=1))


async def test_decisions_are_kept_for_good(database_url: str, matcher: Connection) -> None:
    """Neither the matcher nor the owner takes one back."""
    await posted(database_url, fixtures.transfer("one", BANK, "alice", 500))
    done = await imported(matcher, upload(csv_file(f"{DAY},5.00,,")))
    await review.decide(matcher, "demo", done.statement_id, 1, "accepted", "bob", "seen")
    await review.decide(matcher, "demo", done.statement_id, 1, "accepted", "bob", "seen")
    assert await matcher.fetchval("SELECT count(*) FROM external.decisions") == 1
    for change in (
        "DELETE FROM external.decisions",
        "UPDATE external.decisions SET reason = 'other'",
        "TRUNCATE external.decisions",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await matcher.execute(change)
        with pytest.raises(asyncpg.RestrictViolationError, match="decisions are kept"):
            await fixtures.execute(database_url, change)
    for change in (
        "DELETE FROM external.lines",
        "UPDATE external.lines SET amount = 1",
        "UPDATE external.matches SET rule = 'x'",
        "INSERT INTO read.entries DEFAULT VALUES",
        "SELECT * FROM command.accounts",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await matcher.execute(change)

"""Files of banks as they really come, and files that mean harm: read exactly, or not at all."""

from datetime import date
from typing import Any

import pytest

from bank_statements import parameters, statement
from bank_statements.formats import reading
from bank_statements.formats.mapped_csv import COLUMNS_MAX
from bank_statements.formats.reading import Format
from bank_statements.matching.types import MatchingTerms, Rule
from bank_statements.parameters import Import
from bank_statements.statement import Mismatch, Statement, StatementLine
from events import schema as schemas
from runtime.problems import Invalid, TooLarge

SCHEMA = schemas.load()
DAY = date(2026, 1, 2)
BIG = "99999999999999999999.999999999999999999"  # 38 digits of the 18 decimals of ETH.


def read(
    data: bytes | str,
    form: Format = Format.CSV,
    currency: str = "EUR",
    **columns: Any,  # noqa: ANN401 - the mapping, as text
) -> Statement:
    """Return a file's statement; the encoding is UTF-8 unless it is bytes already."""
    raw = data if isinstance(data, bytes) else data.encode()
    if form is Format.CSV:
        columns = {"date": "d", "amount": "a"} | columns
    return reading.read(raw, reading.reader(form, columns), currency, SCHEMA)


def amounts(found: Statement) -> list[int]:
    """Return the lines' signed minor units."""
    return [line.amount for line in found.lines]


def refused(
    code: str,
    *about: Any,  # noqa: ANN401 - what `read` takes
    error: type[Invalid] = Invalid,
    **columns: Any,  # noqa: ANN401
) -> Invalid:
    """Return the problem that a file must be."""
    with pytest.raises(error, match=code) as caught:
        read(*about, **columns)
    assert caught.value.code == code
    return caught.value


# --- CSV ----------------------------------------------------------------------------------------

GERMAN = {"delimiter": ";", "decimal": ",", "thousands": ".", "date_format": "DD.MM.YYYY"}
CELLS = [
    # A cell, how the file is written, the currency, and the minor units.
    ("1.00", {}, "EUR", 100),
    ("+1.5", {}, "EUR", 150),
    ("-1", {}, "EUR", -100),
    ("1.25-", {}, "EUR", -125),
    ("(1.25)", {}, "EUR", -125),
    ("−1.25", {}, "EUR", -125),
    (".5", {}, "EUR", 50),
    ("1.000", {}, "EUR", 100),
    ('"1,234,567.89"', {"thousands": ","}, "USD", 123456789),
    ('"12,34,567.89"', {"thousands": ","}, "INR", 123456789),
    ("1'234.50", {"thousands": "'"}, "CHF", 123450),
    ("1\u00a0234.50", {"thousands": " "}, "EUR", 123450),
    ("1500", {}, "JPY", 1500),
    ("1500.0", {}, "JPY", 1500),
    ("0.00000001", {}, "BTC", 1),
    ("-21000000.12345678", {}, "BTC", -2100000012345678),
    (BIG, {}, "ETH", int(BIG.replace(".", ""))),
]


@pytest.mark.parametrize("cell, written, currency, minor", CELLS)
def test_an_amount_is_read_to_the_last_digit(
    cell: str, written: dict[str, Any], currency: str, minor: int
) -> None:
    """Signs, separators and decimals as banks write them."""
    assert amounts(read(f"d,a\n2026-01-02,{cell}\n", currency=currency, **written)) == [minor]


@pytest.mark.parametrize(
    "cell, written, currency",
    [
        ("1.001", {}, "EUR"),
        ("1.5", {}, "JPY"),
        (BIG + "1", {}, "ETH"),
        ("1" + BIG, {}, "ETH"),
        ("1e3", {}, "EUR"),
        ("NaN", {}, "EUR"),
        ("0x1", {}, "EUR"),
        ("1_000", {}, "EUR"),
        ("１", {}, "EUR"),  # noqa: RUF001 - a digit that is no ASCII
        ("--1", {}, "EUR"),
        ("", {}, "EUR"),
        (".", {}, "EUR"),
        ("1 EUR", {}, "EUR"),
        ('"1,5"', {}, "EUR"),
        ('"1,23"', {"thousands": ","}, "EUR"),
        ('"1234,567"', {"thousands": ","}, "EUR"),
        ("=1+1", {}, "EUR"),
        ("9" * 100_000, {}, "EUR"),
    ],
)
def test_an_amount_that_is_not_sure_is_refused(
    cell: str, written: dict[str, Any], currency: str
) -> None:
    """With its line and its column; nothing is rounded, and no separator is guessed."""
    problem = refused(
        "statement_line_invalid", f"d,a\n2026-01-02,{cell}\n", Format.CSV, currency, **written
    )
    assert problem.extensions == {"line": 2, "field": "a"}
    assert len(problem.detail) < 300


def test_a_german_bank_s_file_in_latin_letters() -> None:
    """A preamble, Windows-1252, semicolons, quoted line breaks, two sides, a footer of blanks."""
    text = (
        "Kontoauszug;DE02\n\n"
        "Buchung;Wert;Empfänger;Zweck;Soll;Haben;Währung\n"
        '02.01.2026;03.01.2026;Müller & Söhne;"Rechnung\nNr. 7 €";;1.234,56;EUR\n'
        "05.01.2026;;Vermieter;Miete;-800,00;;EUR\n"
        ";;;;;;\n"
    )
    columns = GERMAN | {
        "date": "Buchung",
        "value_date": "Wert",
        "counterparty": "Empfänger",
        "description": "Zweck",
        "reference": "Zweck|#4",
        "debit": "Soll",
        "credit": "Haben",
        "currency": "Währung",
        "skip": "2",
    }
    how = reading.reader(Format.CSV, columns)
    for encoding in ("utf-8", "utf-8-sig", "cp1252"):
        found = reading.read(text.encode(encoding), how, "EUR", SCHEMA)
        assert found.lines == [
            StatementLine(
                number=5,
                booked_on=DAY,
                value_on=date(2026, 1, 3),
                amount=123456,
                references=("Rechnung\nNr. 7 €",),
                counterparty="Müller & Söhne",
                text="Rechnung Nr. 7 €",
            ),
            StatementLine(
                number=6,
                booked_on=date(2026, 1, 5),
                amount=-80000,
                references=("Miete",),
                counterparty="Vermieter",
                text="Miete",
            ),
        ]
        assert (found.starts_on, found.ends_on) == (DAY, date(2026, 1, 5))


def test_a_processor_s_file_with_a_direction_and_a_filter() -> None:
    """Only completed rows count; the word says which way."""
    text = (
        "when|dc|sum|state|ref\n"
        "01/02/2026 10:11:12|C|5.00|done|'=A1\n"
        "01/02/2026 10:11:13|d|-2.00|done|NOTPROVIDED\n"
        "01/02/2026 10:11:14|D|9.00|failed|x\n"
        "01/03/2026 10:11:15|CR|0.00|done|y\n"
    )
    found = read(
        text,
        date="when",
        amount="sum",
        direction="dc",
        only="state:done",
        delimiter="|",
        date_format="MM/DD/YYYY",
        reference="ref",
    )
    assert [(line.amount, line.references) for line in found.lines] == [(500, ("=A1",)), (-200, ())]
    refused("statement_line_invalid", "d,a,x\n2026-01-02,1,sideways\n", direction="x")


def test_columns_may_be_numbers_and_balances_are_checked() -> None:
    """Without a header, forwards or backwards in time."""
    rows = ["20260102;1.00;11.00", "20260103;-4.00;7.00"]
    columns: dict[str, Any] = {
        "date": "#1",
        "amount": "#2",
        "balance": "#3",
        "header": "no",
        "delimiter": ";",
    }
    for ordered in (rows, rows[::-1]):
        found = read("\r\n".join(ordered), date_format="YYYYMMDD", **columns)
        assert (found.opening, found.closing) == (1000, 700)
        assert statement.mismatches(found) == []
    torn = read(f"{rows[0]}\n20260103;-4.00;8.00", date_format="YYYYMMDD", **columns)
    assert statement.mismatches(torn) == [Mismatch(1, 700, 800, after_lines=True)]


@pytest.mark.parametrize(
    "columns, what",
    [
        ({"date": "nowhere"}, "not in the header"),
        ({"date": "twice"}, "twice in the header"),
        ({"delimiter": "x"}, "delimiter"),
        ({"decimal": ";"}, "decimal"),
        ({"decimal": ",", "thousands": ","}, "the same"),
        ({"date_format": "DD.MM"}, "date_format"),
        ({"skip": "-1"}, "skip"),
        ({"skip": "99999999999999999999"}, "skip"),
        ({"header": "perhaps"}, "header"),
        ({"header": "no"}, "#1"),
        ({"only": "done"}, "only"),
        ({"debit": "a"}, "map.amount"),
        ({"unheard_of": "a"}, "unheard_of"),
    ],
)
def test_a_mapping_that_is_wrong_is_refused(columns: dict[str, Any], what: str) -> None:
    """It says what is wrong with it."""
    problem = refused("mapping_invalid", "d,a,twice,twice\n2026-01-02,1,,\n", **columns)
    assert what in problem.detail


@pytest.mark.parametrize(
    "data, code, line",
    [
        (b"", "statement_unreadable", None),
        (b"d,a\n2026-01-02,1\0", "statement_unreadable", None),
        (b"d,a\n\x81\x8d,1", "statement_unreadable", None),
        (b'd,a\n2026-01-02,"1', "statement_line_invalid", 2),
        (b'd,a\n2026-01-02,"1"2\n', "statement_line_invalid", 2),
        (b"d,a\n2026-01-02\n", "statement_line_invalid", 2),
        (b"d,a\n2026-02-30,1\n", "statement_line_invalid", 2),
        (b"d,a\n9999-12-31,1\n", "statement_line_invalid", 2),
        (b"d,a\n0001-01-01,1\n", "statement_line_invalid", 2),
        (b"d,a\n2026-01-02,1\n" + b"," * COLUMNS_MAX, "statement_line_invalid", 3),
        (b"d,a\n" + b"x" * 200_000, "statement_line_invalid", 2),
        (b"d,a,r\n2026-01-02,1," + b"r" * 256, "statement_line_invalid", 2),
    ],
)
def test_a_file_that_is_no_sound_csv_is_refused(data: bytes, code: str, line: int | None) -> None:
    """It names the line, if it is one line's fault."""
    columns: dict[str, Any] = {"reference": "r"} if b",r\n" in data else {}
    assert refused(code, data, **columns).extensions.get("line") == line


def test_a_file_of_too_many_lines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every format."""
    monkeypatch.setattr(statement, "LINES_MAX", 2)
    rows = "2026-01-02,1\n" * 2
    assert len(read(f"d,a\n{rows}").lines) == 2
    refused("statement_too_long", f"d,a\n{rows}2026-01-02,1\n", error=TooLarge)
    refused(
        "statement_too_long", mt940(*[":61:2601020102C1,00NTRF"] * 3), Format.MT940, error=TooLarge
    )
    refused("statement_too_long", camt(entry() * 3), Format.CAMT053, error=TooLarge)


# --- MT940 --------------------------------------------------------------------------------------


def mt940(*fields: str, opening: str = "C260101EUR1000,00", closing: str | None = None) -> str:
    """Return one message."""
    ends = [f":62F:{closing}"] if closing else []
    head = [":20:STARTUMS", ":25:10020030/1234567", ":28C:1/1", f":60F:{opening}"]
    return "\r\n".join([*head, *fields, *ends, "-", ""])


def test_an_mt940_message_with_structured_details_and_reversals() -> None:
    """RC takes back what came in, RD what went out; :86: tells in two dialects."""
    found = read(
        mt940(
            ":61:2601020103CR250,50NTRFNONREF//BANK-1",
            ":86:166?00GUTSCHRIFT?20EREF+INV-1001?21SVWZ+Rechnung 1001?22 vom Mai?30GENODEF1"
            "?31DE02120300000000202051?32Alice GmbH",
            ":61:2601030103RC50,NRTINONREF",
            ":61:2601030103RD5,5NCHGFEE-9\r\nDetails of it",
            ":61:2601030103D1005,99NTRFNONREF",
            ":86:/EREF/E2E-7/REMI/Thanks/",
            closing="C260103EUR200,01",
        ),
        Format.MT940,
    )
    assert amounts(found) == [25050, -5000, 550, -100599]
    assert (found.account, found.opening, found.closing) == ("10020030/1234567", 100000, 20001)
    assert statement.mismatches(found) == []
    assert (found.starts_on, found.ends_on) == (date(2026, 1, 3), date(2026, 1, 3))
    first, _, third, last = found.lines
    assert first.references == ("INV-1001", "BANK-1")
    assert first.counterparty == "Alice GmbH DE02120300000000202051"
    assert first.text == "GUTSCHRIFT Rechnung 1001 vom Mai"
    assert (first.booked_on, first.value_on) == (date(2026, 1, 3), DAY)
    assert (third.references, third.text) == (("FEE-9",), "Details of it")
    assert last.references == ("E2E-7",)


def test_pages_of_mt940_follow_each_other() -> None:
    """Several messages of one account are one statement; a page that is lost shows."""
    one = mt940(":61:2601020102C1,00NTRF", closing="C260102EUR1001,00")
    two = mt940(":61:2601030103D2,00NTRF", opening="C260102EUR1001,00", closing="D260103EUR1,00")
    found = read("{1:F01}{2:O940}{4:\r\n" + one + two + "-}{5:{CHK:1}}", Format.MT940)
    assert amounts(found) == [100, -200]
    assert [line.number for line in found.lines] == [1, 2]
    assert statement.mismatches(found) == [Mismatch(2, 99900, -100, after_lines=True)]
    torn = read(one + mt940(opening="C260102EUR5,00"), Format.MT940)
    assert statement.mismatches(torn) == [Mismatch(2, 100100, 500, after_lines=False)]


@pytest.mark.parametrize(
    "text, code, line",
    [
        ("hello", "statement_unreadable", None),
        ("/etc/passwd", "statement_unreadable", None),
        (":20:X\n:25:A\n:61:2601020102C1,00NTRF", "statement_unreadable", None),
        (mt940(opening="C260101EUR1,,0"), "statement_unreadable", None),
        (mt940(opening="C260101EUR1,001"), "statement_unreadable", None),
        (mt940(":61:2601020102C1,00NTRF", ":61:26XX02C1,00NTRF"), "statement_line_invalid", 2),
        (mt940(":61:2613020102C1,00NTRF"), "statement_line_invalid", 1),
        (mt940(":61:2601020102C1,001NTRF"), "statement_line_invalid", 1),
        (mt940(":61:2601020102C,NTRF"), "statement_line_invalid", 1),
        (mt940() + mt940(opening="C260101USD1,00"), "statement_ambiguous", None),
        (mt940() + mt940().replace("1234567", "7654321"), "statement_ambiguous", None),
        (mt940(opening="C260101USD1000,00"), "statement_currency_mismatch", None),
        (mt940(opening="C260101XXX1000,00"), "statement_unreadable", None),
    ],
)
def test_an_mt940_file_that_is_wrong_is_refused(text: str, code: str, line: int | None) -> None:
    """No line is dropped without a word, and no text is taken for a file's name."""
    assert refused(code, text, Format.MT940).extensions.get("line") == line


# --- camt.053 -----------------------------------------------------------------------------------


def entry(
    amount: str = "1.00", direction: str = "CRDT", details: str = "", status: str = "BOOK"
) -> str:
    """Return one entry."""
    return (
        f'<Ntry><NtryRef>1</NtryRef><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd>'
        f"<Sts>{status}</Sts><BookgDt><Dt>2026-01-02</Dt></BookgDt>"
        f"<ValDt><DtTm>2026-01-03T00:00:00+01:00</DtTm></ValDt>"
        f"<AcctSvcrRef>BANK-1</AcctSvcrRef>{details}</Ntry>"
    )


def balance(code: str, amount: str, direction: str = "CRDT") -> str:
    """Return one balance."""
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd>'
        f"<Dt><Dt>2026-01-04</Dt></Dt></Bal>"
    )


def camt(entries: str, version: str = "02", balances: str = "", before: str = "") -> str:
    """Return one message."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt>'
        f"<Stmt><FrToDt><FrDtTm>2026-01-01T00:00:00</FrDtTm></FrToDt>"
        f"<Acct><Id><IBAN>DE02120300000000202051</IBAN></Id><Ccy>EUR</Ccy></Acct>"
        f"{balances}{entries}</Stmt></BkToCstmrStmt></Document>"
    )


def test_a_statement_that_closes_before_it_begins_is_of_its_last_day() -> None:
    """Without lines, some banks date the balance by the last movement, before the period."""
    text = camt("", balances=balance("CLBD", "10.00")).replace("2026-01-01T", "2026-02-01T")
    found = read(text, Format.CAMT053)
    assert found.starts_on == found.ends_on == date(2026, 1, 4)


@pytest.mark.parametrize("version", [f"{number:02}" for number in range(2, 14)])
def test_every_version_of_camt_is_read_by_its_local_names(version: str) -> None:
    """Parties and status are a level deeper from 08 on."""
    name, status = "<Nm>Alice</Nm>", "<Sts>BOOK</Sts>"
    if int(version) >= 8:
        name, status = f"<Pty>{name}</Pty>", "<Sts><Cd>BOOK</Cd></Sts>"
    details = (
        "<NtryDtls><TxDtls><Refs><EndToEndId>E2E-7</EndToEndId></Refs><RltdPties>"
        f"<Dbtr>{name}</Dbtr><DbtrAcct><Id><IBAN>DE1</IBAN></Id></DbtrAcct></RltdPties><RmtInf>"
        "<Ustrd>Thank</Ustrd><Ustrd>you</Ustrd><Strd><CdtrRefInf><Ref>RF18</Ref></CdtrRefInf>"
        "</Strd></RmtInf></TxDtls></NtryDtls>"
    )
    text = camt(
        entry("12.50", details=details).replace("<Sts>BOOK</Sts>", status),
        version,
        balance("OPBD", "2.00", "DBIT") + balance("CLBD", "10.50"),
    )
    found = read(text, Format.CAMT053)
    assert found.lines == [
        StatementLine(
            number=1,
            booked_on=DAY,
            value_on=date(2026, 1, 3),
            amount=1250,
            references=("E2E-7", "RF18", "BANK-1"),
            counterparty="Alice DE1",
            text="Thank you",
        )
    ]
    assert (found.account, found.opening, found.closing) == ("DE02120300000000202051", -200, 1050)
    assert (found.starts_on, found.ends_on) == (date(2026, 1, 1), date(2026, 1, 4))
    assert statement.mismatches(found) == []


def batch(*parts: tuple[str, str]) -> str:
    """Return the details of a batch: reference and amount of each transaction."""
    return (
        "<NtryDtls><Btch><PmtInfId>RUN-1</PmtInfId></Btch>"
        + "".join(
            f"<TxDtls><Refs><EndToEndId>{reference}</EndToEndId></Refs><AmtDtls><TxAmt>"
            f'<Amt Ccy="EUR">{amount}</Amt></TxAmt></AmtDtls></TxDtls>'
            for reference, amount in parts
        )
        + "</NtryDtls>"
    )


def test_a_batch_is_a_line_for_each_of_its_transactions() -> None:
    """If they add up; else it is one line with all their references. Pending ones are none."""
    both = (("A", "1.00"), ("B", "2.00"))
    found = read(camt(entry("3.00", "DBIT", batch(*both)) + entry("7")), Format.CAMT053)
    assert [(line.number, line.amount, line.references) for line in found.lines] == [
        (1, -100, ("A", "RUN-1", "BANK-1")),
        (2, -200, ("B", "RUN-1", "BANK-1")),
        (3, 700, ("BANK-1",)),
    ]
    fee = read(camt(entry("2.90", "CRDT", batch(*both))), Format.CAMT053)
    assert [(line.amount, line.references) for line in fee.lines] == [
        (290, ("A", "B", "RUN-1", "BANK-1"))
    ]
    assert read(camt(entry(status="PDNG") + entry("0.00")), Format.CAMT053).lines == []


BOMB = "<!DOCTYPE x [" + "".join(
    f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(12)
)
ATTACKS = [
    f"{BOMB}]>",
    '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">',
    '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:1/p"> %p;]>',
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_xml_that_means_harm_is_refused(attack: str) -> None:
    """No entity is expanded, and nothing is fetched: a DTD is refused as such."""
    for reference in ("e11", "f"):
        text = camt(entry(f"&{reference};"), before=attack)
        assert "DTD" in refused("statement_unreadable", text, Format.CAMT053).detail


@pytest.mark.parametrize(
    "text, code, line",
    [
        ("", "statement_unreadable", None),
        ("<a/>", "statement_unreadable", None),
        (camt("", "01"), "statement_unreadable", None),
        (camt("", "14"), "statement_unreadable", None),
        (camt("").replace("camt.053", "camt.052"), "statement_unreadable", None),
        (camt(entry())[:-9], "statement_unreadable", None),
        ('<?xml version="1.0" encoding="nonsense"?><a/>', "statement_unreadable", None),
        (camt(entry() + entry("1,00")), "statement_line_invalid", 2),
        (camt(entry("-1.00")), "statement_line_invalid", 1),
        (camt(entry("1.001")), "statement_line_invalid", 1),
        (camt(entry(direction="UP")), "statement_line_invalid", 1),
        (camt(entry().replace("2026-01-02", "2026-13-02")), "statement_line_invalid", 1),
        (camt(entry().replace("2026-01-02", "0001-01-01")), "statement_line_invalid", 1),
        (camt(entry(), balances=balance("OPBD", "x")), "statement_unreadable", None),
        (camt(entry() + entry().replace("EUR", "USD")), "statement_ambiguous", None),
        (camt(entry()).replace("EUR", "USD"), "statement_currency_mismatch", None),
        ("<a>" * 100_000, "statement_unreadable", None),
    ],
)
def test_a_camt_message_that_is_wrong_is_refused(text: str, code: str, line: int | None) -> None:
    """It names the entry, if it is one entry's fault."""
    assert refused(code, text, Format.CAMT053).extensions.get("line") == line


# --- what is asked for --------------------------------------------------------------------------


def test_terms_and_formats_are_taken_from_the_request() -> None:
    """What is not given is as usual."""
    given = {"rules": "text, reference", "days": "0", "tolerance_minor": "5", "similarity": "100"}
    assert parameters.terms([]) == MatchingTerms()
    assert parameters.terms(given.items()) == MatchingTerms(
        rules=(Rule.REFERENCE, Rule.TEXT), days=0, tolerance_minor=5, similarity=100
    )
    for wrong in ({"rules": "guess"}, {"days": "32"}, {"days": "-1"}, {"similarity": "٣"}):
        with pytest.raises(Invalid, match="terms_invalid"):
            parameters.terms(wrong.items())
    plain = Import(account_id="a")
    assert parameters.how_to_read(plain, "text/plain").format is Format.MT940
    camt = Import(account_id="a", format=Format.CAMT053)
    assert parameters.how_to_read(camt, "text/csv").format is Format.CAMT053
    with pytest.raises(Invalid, match="format_invalid"):
        parameters.how_to_read(plain, "application/octet-stream")
    with pytest.raises(Invalid, match="mapping_invalid"):
        parameters.how_to_read(Import(account_id="a", format=Format.MT940, map={"date": "d"}), "")

"""ISO 20022 camt.053, versions 02 to 13, read by local names. Pure.

defusedxml refuses DTDs, so no entity is ever expanded or fetched; elements are let go as soon as
they are read. An entry that a bank booked as a batch is one line for each transaction in it, if the
transactions' amounts are given and add up; else it is one line with all their references.
"""

import io
import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from bank_statements import statement as statements
from bank_statements.statement import Statement, StatementLine, StatementPage
from events.schema import Schema
from runtime.problems import Invalid

_VERSION = re.compile(r"\{[^{}]*camt\.053\.001\.(\d\d)[^{}]*\}Document")
VERSIONS = range(2, 14)
_BOOKED = "BOOK"
# Opening and closing, and what they are called on the pages between.
_OPENING, _CLOSING = ("OPBD", "PRCD"), ("CLBD",)
_DATE_CHARACTERS = len("2026-01-31")
_REFERENCES = (
    ("EndToEndId",),
    ("InstrId",),
    ("TxId",),
    ("UETR",),
    ("AcctSvcrRef",),
    ("PmtInfId",),
    ("MsgId",),
)


def parse(data: bytes, schema: Schema) -> Statement:
    """Return the statement in `data`. Raises Invalid, TooLarge."""
    try:
        return _parse(data, schema)
    except DefusedXmlException as error:
        raise statements.unreadable("The XML has a DTD or entities, which camt.053 has not.") from (
            error
        )
    except (ParseError, LookupError, ValueError) as error:
        raise statements.unreadable(f"The XML cannot be read: {error}.") from error


def _parse(data: bytes, schema: Schema) -> Statement:
    reading = _Reading(schema)
    events = ElementTree.iterparse(io.BytesIO(data), events=("start", "end"), forbid_dtd=True)
    depth = 0
    for event, element in events:
        if event == "start":
            depth += 1
            if depth == 1:
                _check_version(element.tag)
            continue
        depth -= 1
        name = _local(element)
        if depth == _DEPTHS.get(name):
            reading.take(name, element)
    return reading.statement()


# Where these elements end: Document/BkToCstmrStmt/Stmt/Ntry.
_DEPTHS = {"Stmt": 2, "Ntry": 3}


class _Reading:
    """The statements of the file so far."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._entries = 0
        self._lines = 0
        self._page: list[tuple[str, StatementLine]] = []
        self._pages: list[StatementPage] = []
        self._accounts: set[str | None] = set()
        self._currencies: set[str] = set()
        self._first: date | None = None
        self._last: date | None = None

    def take(self, name: str, element: Element) -> None:
        """Take an element that has ended, and let it go."""
        if name == "Ntry":
            self._entries += 1
            for line in _entry(element, self._entries, self._lines, self._schema):
                self._lines += 1
                self._page.append((_currency(element), line))
            if self._lines > statements.LINES_MAX:
                raise statements.too_long()
        else:
            self._statement(element)
        element.clear()

    def statement(self) -> Statement:
        """Return what was read."""
        if not self._pages:
            raise statements.unreadable("The message has no statement (Stmt).")
        if len(self._accounts) > 1 or len(self._currencies) > 1:
            raise statements.several("accounts" if len(self._accounts) > 1 else "currencies")
        if not self._currencies:
            raise statements.unreadable("The statement names no currency.")
        (account,), (currency,) = self._accounts, self._currencies
        return statements.put_together(account, currency, self._pages, self._first, self._last)

    def _statement(self, element: Element) -> None:
        account = _child(element, "Acct")
        self._accounts.add(_text(account, "Id", "IBAN") or _text(account, "Id", "Othr", "Id"))
        named = _text(account, "Ccy")
        balances = {_code(each): each for each in reversed(list(_children(element, "Bal")))}
        self._currencies |= {currency for currency, _ in self._page}
        self._currencies |= {_currency(each) for each in balances.values()}
        self._currencies |= {named} if named else set()
        self._currencies.discard("")
        opening = next((balances[code] for code in _OPENING if code in balances), None)
        closing = next((balances[code] for code in _CLOSING if code in balances), None)
        self._pages.append(
            StatementPage(
                tuple(line for _, line in self._page), self._amount(opening), self._amount(closing)
            )
        )
        self._page = []
        begins = _text(element, "FrToDt", "FrDtTm")
        if begins and self._first is None:
            self._first = _day(begins)
        ends = _text(closing, "Dt", "Dt") or _text(closing, "Dt", "DtTm")
        self._last = _day(ends) if ends else self._last

    def _amount(self, balance: Element | None) -> int | None:
        if balance is None:
            return None
        try:
            return _signed(balance, self._schema)
        except (Invalid, ValueError) as error:
            raise statements.unreadable(f"A balance cannot be read: {_said(error)}.") from error


def _check_version(tag: str) -> None:
    found = _VERSION.fullmatch(tag)
    if found is None:
        raise statements.unreadable("This is no camt.053: the root is not its Document.")
    if int(found[1]) not in VERSIONS:
        known = f"{VERSIONS[0]:02} to {VERSIONS[-1]}"
        raise statements.unreadable(f"This is camt.053.001.{found[1]}; {known} can be read.")


def _entry(entry: Element, number: int, before: int, schema: Schema) -> Iterator[StatementLine]:
    """Yield the lines of an entry that was booked, numbered after the `before` that there are."""
    try:
        if _text(entry, "Sts", "Cd") != _BOOKED and _text(entry, "Sts") != _BOOKED:
            return
        amount = _signed(entry, schema)
        booked = _text(entry, "BookgDt", "Dt") or _text(entry, "BookgDt", "DtTm")
        value = _text(entry, "ValDt", "Dt") or _text(entry, "ValDt", "DtTm")
        booked_on = _day(booked or value or "nothing")
        value_on = _day(value) if value else None
        details = [
            transaction
            for part in _children(entry, "NtryDtls")
            for transaction in _children(part, "TxDtls")
        ]
        parts = _parts(entry, details, amount, schema)
    except (Invalid, ValueError) as error:
        raise statements.at_line(number, "Ntry", _said(error)) from error
    for place, (own, part) in enumerate(parts, 1):
        yield statements.checked(
            StatementLine(
                number=before + place,
                booked_on=booked_on,
                value_on=value_on,
                amount=own,
                references=_references(entry, part),
                counterparty=_counterparty(part, incoming=own > 0),
                text=_remittance(entry, part),
            )
        )


def _parts(
    entry: Element, details: list[Element], amount: int, schema: Schema
) -> list[tuple[int, list[Element]]]:
    """Return the entry's transactions, each with its amount, or all of them with the entry's.

    What moves nothing is none.
    """
    if len(details) > 1:
        own = [_own_amount(entry, transaction, schema) for transaction in details]
        known = [each for each in own if each]
        if len(known) == len(own) and sum(known) == amount:
            return [(each, [part]) for each, part in zip(known, details, strict=True)]
    return [(amount, details)] if amount else []


def _own_amount(entry: Element, transaction: Element, schema: Schema) -> int | None:
    """Return what a transaction of a batch moved; None if that is not said in its currency."""
    found = _child(transaction, "Amt")
    if found is None:
        found = _at(transaction, "AmtDtls", "TxAmt", "Amt")
    if found is None or found.get("Ccy") != _currency(entry):
        return None
    direction = _text(transaction, "CdtDbtInd") or _text(entry, "CdtDbtInd")
    return _sign(direction) * _minor(found, schema)


def _references(entry: Element, parts: list[Element]) -> tuple[str, ...]:
    found: list[str | None] = []
    for part in parts:
        refs = _child(part, "Refs")
        found += [_text(refs, *path) for path in _REFERENCES]
        found += [
            _text(structured, "CdtrRefInf", "Ref")
            for remittance in _children(part, "RmtInf")
            for structured in _children(remittance, "Strd")
        ]
    for details in _children(entry, "NtryDtls"):
        batch = _child(details, "Btch")
        found += [_text(batch, "PmtInfId"), _text(batch, "MsgId")]
    return statements.references(*found, _text(entry, "AcctSvcrRef"))


def _counterparty(parts: list[Element], *, incoming: bool) -> str | None:
    """Return the other side, if there is just one transaction to have one."""
    if len(parts) != 1:
        return None
    role = "Dbtr" if incoming else "Cdtr"
    parties = _child(parts[0], "RltdPties")
    account = _child(parties, f"{role}Acct")
    return statements.words(
        # From version 08 on a party may be an institution, and is one level deeper.
        _text(parties, role, "Nm") or _text(parties, role, "Pty", "Nm"),
        _text(account, "Id", "IBAN") or _text(account, "Nm") or _text(account, "Id", "Othr", "Id"),
    )


def _remittance(entry: Element, parts: list[Element]) -> str | None:
    told: list[str | None] = [
        unstructured.text
        for part in parts
        for remittance in _children(part, "RmtInf")
        for unstructured in _children(remittance, "Ustrd")
    ]
    told += [_text(part, "AddtlTxInf") for part in parts]
    return statements.words(*told, _text(entry, "AddtlNtryInf"))


def _signed(element: Element, schema: Schema) -> int:
    amount = _child(element, "Amt")
    if amount is None:
        raise ValueError("it has no amount (Amt)")
    return _sign(_text(element, "CdtDbtInd")) * _minor(amount, schema)


def _sign(direction: str | None) -> int:
    """Return 1 for money in: a reversal, too, says which way its own money goes."""
    if direction not in ("CRDT", "DBIT"):
        raise ValueError("CdtDbtInd is neither CRDT nor DBIT")
    return 1 if direction == "CRDT" else -1


def _minor(amount: Element, schema: Schema) -> int:
    currency = amount.get("Ccy") or ""
    text = (amount.text or "").strip()
    return statements.minor(text, schema.decimals(currency), currency, "Amt")


def _currency(element: Element) -> str:
    amount = _child(element, "Amt")
    return "" if amount is None else amount.get("Ccy") or ""


def _day(text: str) -> date:
    """Return the day of a date or a time, as it is written there. Raises ValueError."""
    return date.fromisoformat(text[:_DATE_CHARACTERS])


def _said(error: Invalid | ValueError) -> str:
    return error.detail.rstrip(".") if isinstance(error, Invalid) else str(error)


def _code(balance: Element) -> str | None:
    return _text(balance, "Tp", "CdOrPrtry", "Cd")


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _children(element: Element | None, name: str) -> Iterator[Element]:
    inside: Iterable[Any] = () if element is None else element
    return (each for each in inside if _local(each) == name)


def _child(element: Element | None, name: str) -> Element | None:
    return next(_children(element, name), None)


def _at(element: Element | None, *path: str) -> Element | None:
    for name in path:
        element = _child(element, name)
    return element


def _text(element: Element | None, *path: str) -> str | None:
    """Return the text at a path of local names; None if there is none, or only space."""
    found = _at(element, *path)
    return None if found is None or found.text is None else found.text.strip() or None

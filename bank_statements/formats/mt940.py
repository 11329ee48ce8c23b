"""SWIFT MT940, read by the library mt-940. Pure.

The library is given text, never a name: its own `parse` would open a file that the text names. What
it drops without a word is looked for afterwards: no line may be lost.
"""

import re
from datetime import date
from typing import Any

from mt940.models import Balance, Transaction, Transactions
from mt940.options import Options
from mt940.tags import Statement as Mt940Line

from bank_statements import statement as statements
from bank_statements.statement import Statement, StatementLine, StatementPage
from events.schema import Schema
from runtime.problems import Invalid

# What SWIFT and its software put around the fields of a message.
_ENVELOPE = re.compile(r"^(?:-\}?|-?\{[^\n]*|\x01|\x03)[ \t]*$", re.MULTILINE)
_BLOCK = re.compile(r"^(?=:20:)", re.MULTILINE)
_LINE = re.compile(r"^:61:", re.MULTILINE)
# The other way in which banks structure the field 86: /EREF/INV-1/REMI/Thanks/
_SLASHED = re.compile(r"/(?:EREF|KREF|PREF|CREF)/([^/\n]+)")
_OPENING = ("final_opening_balance", "intermediate_opening_balance", "opening_balance")
_CLOSING = ("final_closing_balance", "intermediate_closing_balance", "closing_balance")
# Whatever a library may stumble over in a field that its pattern let through.
_STUMBLES = (RuntimeError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError)


def parse(text: str, schema: Schema) -> Statement:
    """Return the statement in `text`. Raises Invalid, TooLarge."""
    text = _ENVELOPE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    blocks = [block for block in _BLOCK.split(text) if block.startswith(":20:")]
    if not blocks:
        raise statements.unreadable("This is no MT940: it has no field :20:.")
    if len(_LINE.findall(text)) > statements.LINES_MAX:
        raise statements.too_long()
    read: list[tuple[Transactions, StatementPage]] = []
    before = 0
    for block in blocks:
        found = _read(block, before)
        read.append((found, _page(found, before, schema)))
        before += len(_LINE.findall(block))
    accounts = {found.data.get("account_identification") for found, _ in read}
    currencies = {found.currency for found, _ in read}
    if len(accounts) > 1 or len(currencies) > 1:
        raise statements.several("accounts" if len(accounts) > 1 else "currencies")
    (account,), (currency,) = accounts, currencies
    last = _first(read[-1][0], _CLOSING)
    ends_on = None if last is None or last.date is None else _plain(last.date)
    pages = [page for _, page in read]
    return statements.put_together(account, str(currency), pages, last=ends_on)


def _read(block: str, before: int) -> Transactions:
    """Return a message as the library reads it; `before` lines are in the messages before."""
    begun = 0

    def begin(_: Transactions, __: object, fields: dict[str, Any]) -> dict[str, Any]:
        nonlocal begun
        begun += 1
        return fields

    found = Transactions(processors={"pre_statement": [begin]}, options=Options.all())
    try:
        found.parse(block)
    except _STUMBLES as error:
        # A field that fits no pattern comes with the error; any other was let through.
        _, tag, value = error.args if len(error.args) == 3 else ("", "", "")  # noqa: PLR2004
        where = f"field {getattr(tag, 'name', '61 or 86')}"
        what = f"it cannot be read: {statements.shortened(str(value) or str(error))}"
        if not begun and not isinstance(tag, Mt940Line):
            raise statements.unreadable(f"Of the message's head, {where}: {what}.") from error
        # The library begins a line when its own field has been read.
        number = before + begun + isinstance(tag, Mt940Line)
        raise statements.at_line(number, where, what) from error
    lost = len(_LINE.findall(block)) - len(found.transactions)
    if lost:
        raise statements.unreadable(f"{lost} of the message's fields :61: cannot be told apart.")
    if found.currency is None:
        raise statements.unreadable("A message has no opening balance (:60F:), so no currency.")
    return found


def _page(found: Transactions, before: int, schema: Schema) -> StatementPage:
    lines = []
    for number, transaction in enumerate(found.transactions, before + 1):
        line = _line(number, transaction, str(found.currency), schema)
        if line is not None:
            lines.append(line)
    return StatementPage(
        tuple(lines), _balance(found, _OPENING, schema), _balance(found, _CLOSING, schema)
    )


def _line(
    number: int, transaction: Transaction, currency: str, schema: Schema
) -> StatementLine | None:
    """Return a line; None if it moves nothing."""
    given = transaction.data
    try:
        amount = _minor(given["amount"].amount, currency, schema)
    except Invalid as problem:
        raise statements.at_line(number, "amount", problem.detail.rstrip(".")) from problem
    if amount == 0:
        return None
    details = given.get("transaction_details")
    slashed = _SLASHED.findall("".join((details or "").split("\n")))
    return statements.checked(
        StatementLine(
            number=number,
            booked_on=_plain(given.get("entry_date") or given["date"]),
            value_on=_plain(given["date"]),
            amount=amount,
            references=statements.references(
                given.get("end_to_end_reference"),
                given.get("customer_reference"),
                given.get("bank_reference"),
                *slashed,
            ),
            counterparty=statements.words(
                given.get("applicant_name"),
                given.get("applicant_iban") or given.get("gvc_applicant_iban"),
            ),
            text=statements.words(
                given.get("posting_text"),
                given.get("purpose"),
                given.get("additional_purpose"),
                details,
                given.get("extra_details"),
            ),
        )
    )


def _balance(found: Transactions, names: tuple[str, ...], schema: Schema) -> int | None:
    balance = _first(found, names)
    if balance is None:
        return None
    try:
        amount: Any = balance.amount
        return _minor(amount.amount, str(found.currency), schema)
    except Invalid as problem:
        raise statements.unreadable(f"A balance cannot be read: {problem.detail}") from problem


def _first(found: Transactions, names: tuple[str, ...]) -> Balance | Any:  # noqa: ANN401 - untyped
    return next((found.data[name] for name in names if name in found.data), None)


def _minor(amount: Any, currency: str, schema: Schema) -> int:  # noqa: ANN401 - a Decimal
    """Return the library's signed Decimal as minor units."""
    sign = -1 if amount.is_signed() else 1
    text = f"{amount.copy_abs():f}"
    return sign * statements.minor(text, schema.decimals(currency), currency, "amount")


def _plain(day: date) -> date:
    """Return the library's own kind of date as a date."""
    return date(day.year, day.month, day.day)

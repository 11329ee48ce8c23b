"""Expected rows in the text form that PostgreSQL gives a row, to compare a page at once. Pure.

PostgreSQL writes a page of a view as text, and this module writes the page that must be there. The
two texts are equal only if every column of every row is equal, and no row of the view has to become
Python objects. A page whose texts differ, for any reason, is read row by row. So a mistake here
costs time, but can neither hide a difference nor invent one.

Source of the form: PostgreSQL 18, 8.16.6 Composite Type Input and Output Syntax.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from auditing.expected_rows import ExpectedEntry, ExpectedTransaction

_SPECIAL = re.compile(r'["\\(), \t\n\r\v\f]')
_REMEMBERED_MAX = 65_536


def text_of(value: object) -> str:
    """Return one column: the empty text for NULL, and quotes where PostgreSQL writes them."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return _time(value)
    text = str(value)
    if text and _SPECIAL.search(text) is None:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'


# Ids and words are repeated all the time, so their texts are remembered. Equal times follow one
# another: comparing a time with the one before is faster than looking it up.
_remembered = lru_cache(_REMEMBERED_MAX)(text_of)


def of_entries(entries: Sequence[ExpectedEntry]) -> str | None:
    """Return entries as the query `entries_as_text` does; None without any, as it returns NULL."""
    known = _remembered
    recorded_at, at = None, ""
    rows = []
    for row in entries:
        if row.recorded_at != recorded_at:
            recorded_at = row.recorded_at
            at = _time(recorded_at)
        rows.append(
            f"({known(row.ledger)},{known(row.account_id)},{row.position},{row.line},"
            f"{row.transaction_id},{row.kind},{row.side},{row.amount},{known(row.currency)},"
            f"{row.debits_posted},{row.credits_posted},{row.debits_pending},{row.credits_pending},"
            f"{at},{'' if row.effective_at is None else _time(row.effective_at)})"
        )
    return "\n".join(rows) if rows else None


def of_transactions(transactions: Sequence[ExpectedTransaction]) -> str | None:
    """Return transactions as the query `transactions_as_text` does."""
    known = _remembered
    recorded_at, at = None, ""
    rows = []
    for row in transactions:
        if row.recorded_at != recorded_at:
            recorded_at = row.recorded_at
            at = _time(recorded_at)
        rows.append(
            f"({row.transaction_id},{known(row.ledger)},{row.position},"
            f"{text_of(row.idempotency_key)},{known(row.kind)},{known(row.stage)},"
            f"{known(row.code)},{text_of(row.detail)},{known(row.source_account_id)},"
            f"{known(row.destination_account_id)},{text_of(row.amount)},{known(row.currency)},"
            f"{'' if row.postings is None else text_of(row.postings)},"
            f"{'' if row.description is None else text_of(row.description)},"
            f"{'' if row.reference is None else text_of(row.reference)},"
            f"{'' if row.metadata is None else text_of(row.metadata)},"
            f"{'' if row.rate is None else text_of(row.rate)},"
            f"{'' if row.about is None else row.about},"
            f"{'' if row.due_at is None else _time(row.due_at)},"
            f"{'' if row.effective_at is None else _time(row.effective_at)},{at})"
        )
    return "\n".join(rows) if rows else None


def _time(at: datetime) -> str:
    """Return a UTC time without trailing zeros."""
    text = at.isoformat(" ").removesuffix(":00")
    if at.microsecond:
        number, zone = text[:-3], text[-3:]
        text = number.rstrip("0") + zone
    return f'"{text}"'

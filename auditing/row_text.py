"""The auditor's rows as PostgreSQL writes a row as text, so that a page is compared at once. Pure.

PostgreSQL puts a page of a view together with its own functions, and we do with ours: the texts are
equal only if every column of every row is, and no row of the view has to become Python objects. A
page whose texts differ, for whatever reason, is read row by row: a mistake here costs time and can
neither hide a difference nor invent one.

Source of the form: PostgreSQL 18, 8.16.6 Composite Type Input and Output Syntax.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from auditing.expected_rows import Line, Outcome

_SPECIAL = re.compile(r'["\\(), \t\n\r\v\f]')
_REMEMBERED_MAX = 65_536


def text_of(value: object) -> str:
    """Return one column: nothing for null, quoted where it must be."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return _time(value)
    text = str(value)
    if text and _SPECIAL.search(text) is None:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'


# Ids and words come again and again. Times do, too, one after the other: to look one up would take
# longer than to see that it is the one before.
_remembered = lru_cache(_REMEMBERED_MAX)(text_of)


def of_lines(lines: Sequence[Line]) -> str | None:
    """Return lines as `entries_as_text` would; none, as the sum of no rows is null."""
    known = _remembered
    recorded_at, at = None, ""
    rows = []
    for row in lines:
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


def of_outcomes(outcomes: Sequence[Outcome]) -> str | None:
    """Return transactions as `transactions_as_text` would."""
    known = _remembered
    recorded_at, at = None, ""
    rows = []
    for row in outcomes:
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
    """Return a time in UTC, with no more digits than it needs."""
    text = at.isoformat(" ").removesuffix(":00")
    if at.microsecond:
        number, zone = text[:-3], text[-3:]
        text = number.rstrip("0") + zone
    return f'"{text}"'

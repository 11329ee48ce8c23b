"""How statements, lines and matches are shown. Pure. Amounts go out in units and in minor units."""

from datetime import datetime
from typing import Any

import msgspec

from bank_statements.findings import CANDIDATES, Statement, Totals
from bank_statements.formats.reading import Reader
from bank_statements.summary import Sums
from events.money import to_json
from runtime.sql import Row

View = dict[str, Any]
_READER = msgspec.json.Decoder(Reader)


class _Linked(msgspec.Struct):
    transaction_id: str
    position: int
    line: int
    minor: str


class _Decided(msgspec.Struct):
    verdict: str
    decided_by: str
    decided_at: datetime
    reason: str


_LINKED = msgspec.json.Decoder(list[_Linked])
_DECIDED = msgspec.json.Decoder(list[_Decided])


def amount(name: str, minor: int | None, decimals: int) -> View:
    """Return an amount under `name`, in units and in minor units; None is null twice."""
    if minor is None:
        return {name: None, f"{name}_minor": None}
    return {name: to_json(minor, decimals), f"{name}_minor": str(minor)}


def statement(row: Row, decimals: int) -> View:
    """Return what a statement says of itself, and how it was imported."""
    return {
        "statement_id": row["statement_id"],
        "account_id": row["account_id"],
        "format": _READER.decode(row["reader"]).format,
        "file_sha256": bytes(row["file_sha256"]).hex(),
        "external_account": row["external_account"],
        "currency": row["currency"],
        "starts_on": row["starts_on"],
        "ends_on": row["ends_on"],
        **amount("opening_balance", row["opening"], decimals),
        **amount("closing_balance", row["closing"], decimals),
        "terms": msgspec.Raw(row["terms"].encode()),
        "matched_position": row["position"],
        "imported_by": row["imported_by"],
        "imported_at": row["imported_at"],
    }


def summary(of: Statement, totals: Totals) -> View:
    """Return a statement with how much of it agrees."""
    lines = totals.lines
    return statement(of.row, of.decimals) | {
        "status": "DISCREPANCIES" if any(totals.discrepancies.values()) else "CLEAN",
        "lines": {
            state: _sums(getattr(lines, state), of.decimals)
            for state in ("matched", "accepted", "proposed", "unmatched")
        },
        "unmatched_entries": _sums(totals.entries, of.decimals),
        "matches": totals.matches,
        "discrepancies": totals.discrepancies,
    }


def _sums(sums: Sums, decimals: int) -> View:
    return {
        "count": sums.count,
        **amount("incoming", sums.incoming, decimals),
        **amount("outgoing", sums.outgoing, decimals),
    }


def line(row: Row, decimals: int) -> View:
    """Return a line with the match that it is in, or with what it could be."""
    return {
        "line": row["line_number"],
        "booked_on": row["booked_on"],
        "value_on": row["value_on"],
        **amount("amount", row["amount"], decimals),
        "references": row["refs"],
        "counterparty": row["counterparty"],
        "description": row["description"],
        "match_id": row["match_number"],
        "status": row["status"] or "unmatched",
        "candidates": [
            {
                "transaction_id": candidate.transaction_id,
                "line": candidate.line,
                "booked_on": candidate.booked_on,
                **amount("amount", int(candidate.minor), decimals),
            }
            for candidate in (CANDIDATES.decode(row["candidates"]) if not row["status"] else ())
        ],
    }


def match(row: Row, decimals: int) -> View:
    """Return a match with what it links, and what people said of it."""
    return {
        "match_id": row["match_number"],
        "status": row["status"],
        "rule": row["rule"],
        "confidence": row["confidence"],
        "explanation": row["explanation"],
        **amount("amount_difference", row["amount_difference"], decimals),
        "days_apart": row["days_apart"],
        "lines": row["line_numbers"],
        "entries": [
            {
                "transaction_id": linked.transaction_id,
                "position": linked.position,
                "line": linked.line,
                **amount("amount", int(linked.minor), decimals),
            }
            for linked in _LINKED.decode(row["entries"])
        ],
        "decisions": _DECIDED.decode(row["decisions"] or "[]"),
        "proposed_at": row["proposed_at"],
    }

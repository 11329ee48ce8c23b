"""The parameters of paths, queries and headers, each described once."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Literal

import msgspec

from bank_statements.findings import Kind as FindingKind
from bank_statements.formats.reading import Format as StatementFormat
from bank_statements.matching.types import Rule
from web.cursors import LIMIT_MAX

Place = Literal["path", "query", "header"]


class Parameter(msgspec.Struct, frozen=True):
    """One parameter, and the JSON schema of its value."""

    place: Place
    name: str
    description: str
    schema: Mapping[str, Any]
    required: bool = False


def _query(name: str, description: str, **schema: Any) -> Parameter:  # noqa: ANN401 - JSON
    return Parameter("query", name, description, {"type": "string"} | schema)


def _header(name: str, description: str, **schema: Any) -> Parameter:  # noqa: ANN401 - JSON
    return Parameter("header", name, description, {"type": "string"} | schema)


def _path(name: str, description: str, **schema: Any) -> Parameter:  # noqa: ANN401 - JSON
    return Parameter("path", name, description, {"type": "string"} | schema, required=True)


# Every route has those of its path.
PATH = {
    parameter.name: parameter
    for parameter in (
        _path("transaction_id", "The `messageId` of the submission.", format="uuid"),
        _path("account_id", "The id that the client chose.", maxLength=128),
        _path("statement_id", "As the import answered.", format="uuid"),
        _path("match_id", "Its number in the statement.", pattern="^[0-9]+$"),
        _path("key", "The idempotency key, percent-encoded, `/` included."),
        _path("level", "0 for the leaves; each level is 256 times narrower.", pattern="^[0-7]$"),
        _path("tile", "Its index in groups of three digits, `x001/067`; `.p/W`: its first W."),
    )
}
LEDGER = _header("Daybook-Ledger", "Which ledger; needed if the token has several.")
FRESH = (
    _header(
        "Daybook-Min-Position",
        "Answer only when the read models have reached this position, else 503.",
        pattern="^[0-9]+$",
    ),
    _header(
        "Prefer",
        "`wait=S`: how long to wait for `Daybook-Min-Position`; 1 second without it.",
        pattern="wait=[0-9]+",
    ),
)


def _choice(name: str, description: str, choices: Iterable[StrEnum]) -> Parameter:
    return _query(name, description, enum=[str(choice) for choice in choices])


LIMIT = _query("limit", "How many items.", type="integer", minimum=1, maximum=LIMIT_MAX, default=50)
CURSOR = _query("cursor", "The `next` (or `previous`) of a page, with the same filters.")
CONSISTENCY = (
    Parameter("query", "from", "The smaller size.", {"type": "integer"}, required=True),
    Parameter("query", "to", "The larger size.", {"type": "integer"}, required=True),
)
OF_ACCOUNT = _query("account_id", "Only of this account.")
MATCH_STATUS = _query("status", "As it stands.", enum=["proposed", "accepted", "rejected"])
DIFFERENCE_KIND = _choice("kind", "Only of this kind.", FindingKind)
TERMS = (
    _query("rules", f"Which of {', '.join(Rule)}, separated by commas; all without it."),
    _query("days", "At most so far apart.", type="integer", minimum=0, maximum=31, default=3),
    _query(
        "reference_days",
        "And with a common reference or text.",
        type="integer",
        minimum=0,
        maximum=366,
        default=31,
    ),
    _query("tolerance_minor", "How far amounts may differ.", type="integer", minimum=0, default=0),
    _query(
        "similarity",
        "Of texts, in percent.",
        type="integer",
        minimum=0,
        maximum=100,
        default=80,
    ),
)
IMPORT = (
    Parameter(
        "query",
        "account_id",
        "The account that mirrors the one at the bank.",
        {"type": "string"},
        required=True,
    ),
    _choice("format", "What the file is; by its `Content-Type` without it.", StatementFormat),
    Parameter(
        "query",
        "map",
        "`map.NAME=VALUE`: which column of a CSV file is what, and how the file is written.",
        {"type": "object", "additionalProperties": {"type": "string"}},
    ),
    *TERMS,
)

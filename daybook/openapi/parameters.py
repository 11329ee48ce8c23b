"""The parameters of paths, queries and headers, each described once."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

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
        _path("key", "The idempotency key, percent-encoded, `/` included."),
    )
}
LEDGER = _header("Daybook-Ledger", "Which ledger; needed if the token has several.")
KEY = _header(
    "Idempotency-Key",
    "The key, instead of `idempotencyKey` in the body; if both are sent they must be equal.",
    maxLength=255,
)
WAIT = _header(
    "Prefer",
    "`wait=S`: wait up to S whole seconds until the result is readable, and answer 200 with it.",
    pattern="wait=[0-9]+",
)
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
DRY_RUN = _query(
    "dry_run", "`true`: only answer what would be decided now; nothing is appended.", type="boolean"
)
MODE = _query(
    "mode",
    "Each transaction alone, or all of them or none.",
    enum=["independent", "atomic"],
    default="independent",
)

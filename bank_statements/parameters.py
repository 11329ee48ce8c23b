"""What requests about bank statements take. Pure."""

from collections.abc import Iterable
from typing import Annotated, Literal, cast

from msgspec import Meta, Struct, field

from bank_statements.differences import DifferenceKind
from bank_statements.formats.reading import MEDIA_TYPES, Format, Reader, reader
from bank_statements.matching.types import MatchingTerms
from events.schema import ACCOUNT_ID
from runtime.problems import Invalid
from web import parameters
from web.cursors import LIMIT_DEFAULT, CursorText, Limit

REASON_CHARACTERS_MAX = 500
LINKED_MAX = 1_000
MatchStatus = Literal["proposed", "accepted", "rejected"]
# `reason` below checks it, with a code of its own.
Reason = Annotated[
    str, Meta(extra_json_schema={"minLength": 1, "maxLength": REASON_CHARACTERS_MAX})
]


def account(text: str, name: str = "account_id") -> str:
    """Return an account id. Raises Invalid."""
    if not ACCOUNT_ID.fullmatch(text):
        detail = f"`{name}` must name the account that mirrors the statement's."
        raise Invalid("account_id_invalid", detail, field=name)
    return text


AccountId = Annotated[
    str,
    Meta(
        description="The account that mirrors the one at the bank.",
        extra={"parse": account, "code": "account_id_invalid"},
        extra_json_schema={"pattern": f"^{ACCOUNT_ID.pattern}$"},
    ),
]


class OfStatement(Struct, frozen=True):
    """An imported statement."""

    statement_id: Annotated[
        str,
        Meta(
            description="As the import answered.",
            extra_json_schema={"type": "string", "format": "uuid"},
        ),
    ]


class OfMatch(OfStatement, frozen=True):
    """A match of an imported statement."""

    match_id: Annotated[
        str, Meta(description="Its number in the statement.", extra_json_schema={"type": "integer"})
    ]


class Import(MatchingTerms, frozen=True, kw_only=True):
    """What a file is, whose it is, and how it is matched."""

    account_id: AccountId
    format: (
        Annotated[
            Format,
            Meta(
                description="What the file is; by its `Content-Type` without it.",
                extra={"code": "format_invalid"},
            ),
        ]
        | None
    ) = None
    map: Annotated[
        dict[str, str],
        Meta(
            description="`map.NAME=VALUE`: which column of a CSV file is what.",
            extra={"code": "mapping_invalid"},
        ),
    ] = field(default_factory=dict)


class Paging(Struct, frozen=True, kw_only=True):
    """Which page of a list."""

    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


class StatementFilters(Paging, frozen=True, kw_only=True):
    """Which statements."""

    account_id: AccountId | None = None


class MatchFilters(Paging, frozen=True, kw_only=True):
    """Which matches."""

    status: (
        Annotated[MatchStatus, Meta(description="As it stands.", extra={"code": "status_unknown"})]
        | None
    ) = None


class DifferenceFilters(Paging, frozen=True, kw_only=True):
    """Which differences."""

    kind: (
        Annotated[
            DifferenceKind, Meta(description="Only of this kind.", extra={"code": "kind_unknown"})
        ]
        | None
    ) = None


class Decision(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a person accepts or rejects a match."""

    reason: Reason


class Linked(Struct, frozen=True, forbid_unknown_fields=True):
    """What a transaction has posted to the account: one line of it, or all."""

    transaction_id: str
    line: int | None = None


class Override(Struct, frozen=True, forbid_unknown_fields=True):
    """Lines of a statement that are entries of ours, because a person says so."""

    lines: Annotated[tuple[int, ...], Meta(min_length=1, max_length=LINKED_MAX)]
    entries: Annotated[tuple[Linked, ...], Meta(min_length=1, max_length=LINKED_MAX)]
    reason: Reason


_TERMS = parameters.Reader(MatchingTerms, "query")


def terms(named: Iterable[tuple[str, str]]) -> MatchingTerms:
    """Return the terms that a command line names. Raises Invalid."""
    return cast("MatchingTerms", _TERMS.named(named))


def how_to_read(query: Import, media_type: str) -> Reader:
    """Return how a file is to be read: by `format`, or else by its media type. Raises Invalid."""
    form = query.format or MEDIA_TYPES.get(media_type)
    if form is None:
        detail = f"Say what the file is by `format`: {', '.join(Format)}."
        raise Invalid("format_invalid", detail, field="format")
    return reader(form, query.map)


def reason(text: str) -> str:
    """Return why a person decides so. Raises Invalid."""
    if not text.strip() or len(text) > REASON_CHARACTERS_MAX or "\0" in text:
        detail = f"Say why in `reason`: 1 to {REASON_CHARACTERS_MAX} characters."
        raise Invalid("reason_invalid", detail, field="reason")
    return text.strip()

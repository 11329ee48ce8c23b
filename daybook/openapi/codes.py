"""The codes of problem documents in groups, and the HTTP status that each one comes with."""

from collections.abc import Iterable

from command_side.domain.rejections import Code
from runtime.problems import STATUS, Outdated, Rejected

Codes = frozenset[str]


def _codes(*codes: str) -> Codes:
    return frozenset(codes)


# Every route but the open ones; every route at all.
ACCESS = _codes(
    "token_missing", "token_unknown", "scope_missing", "ledger_missing", "ledger_not_allowed"
)
ALWAYS = _codes("internal_error", "database_unavailable")
# What the framework itself refuses, of no route in particular.
FRAMEWORK = _codes("not_found", "method_not_allowed", "http_error")

BODY = _codes(
    *("member_repeated", "media_type_unsupported", "content_coding_unsupported"),
    *("parameter_missing", "parameter_invalid"),
    "body_not_json",
    "body_invalid",
    "body_incomplete",
    "body_too_large",
)
READ = ACCESS | _codes(
    "position_not_reached", "prefer_invalid", "min_position_invalid", "path_invalid"
)
NO_TRANSACTION = _codes("transaction_not_found")
NO_ACCOUNT = _codes("account_not_found")
_STATEMENTS = READ | _codes("parameter_unknown", "parameter_repeated")
STATEMENT_OF_OTHERS = _STATEMENTS | _codes("statement_not_found")
_PAGED = _codes("cursor_invalid", "limit_invalid")
STATEMENTS_OF_OTHERS = _STATEMENTS | _PAGED | _codes("account_id_invalid")
LINES_OF_OTHERS = STATEMENT_OF_OTHERS | _PAGED
MATCHES = LINES_OF_OTHERS | _codes("status_unknown")
DIFFERENCES = LINES_OF_OTHERS | _codes("kind_unknown")
IMPORT = (
    _STATEMENTS
    | NO_ACCOUNT
    | _codes(
        "account_id_invalid",
        "format_invalid",
        "mapping_invalid",
        "terms_invalid",
        "body_incomplete",
        "body_too_large",
        "statement_too_long",
        "statement_unreadable",
        "statement_line_invalid",
        "statement_ambiguous",
        "statement_currency_mismatch",
    )
)
MATCH_AGAIN = STATEMENT_OF_OTHERS | _codes("terms_invalid", "statement_too_long")
DECIDE = STATEMENT_OF_OTHERS | BODY | _codes("reason_invalid", "match_not_found", "match_rejected")
OVERRIDE = (
    STATEMENT_OF_OTHERS
    | BODY
    | _codes(
        "reason_invalid",
        "transaction_id_invalid",
        "statement_line_not_found",
        "entry_not_found",
        "match_accepted",
    )
)
_STATUS = {
    401: _codes("token_missing", "token_unknown"),
    403: _codes("scope_missing", "ledger_not_allowed"),
    404: _codes(
        "transaction_not_found",
        "account_not_found",
        "reconciliation_not_found",
        "four_way_not_found",
        "repair_not_found",
        "tile_not_found",
        "statement_not_found",
        "statement_line_not_found",
        "entry_not_found",
        "match_not_found",
        "not_found",
    ),
    405: _codes("method_not_allowed"),
    409: _codes("plan_stale", "match_rejected", "match_accepted"),
    415: _codes("media_type_unsupported", "content_coding_unsupported"),
    413: _codes("body_too_large", "batch_too_large", "statement_too_long"),
    422: _codes("idempotency_key_reused", "log_unsound", "repair_too_large"),
    500: _codes("internal_error"),
    503: _codes(
        "too_many_waiting",
        "waited_too_long",
        "stopping",
        "database_unavailable",
        "position_not_reached",
        "not_sealed_yet",
        "queue_unavailable",
        "queue_gone",
        "too_many_streams",
    ),
}


def status_of(code: str) -> int:
    """Return the status of a code: a member of `Code` is a refusal, any other one by its name."""
    if isinstance(code, Code):
        return STATUS[Outdated if code is Code.VERSION_CONFLICT else Rejected][0]
    return next((status for status, codes in _STATUS.items() if code in codes), 400)


def by_status(codes: Iterable[str]) -> dict[int, list[str]]:
    """Return the codes of each status: by name, then refusals in order of precedence."""
    order = {str(code): place for place, code in enumerate(Code)}
    found: dict[int, list[str]] = {}
    for code in sorted(codes, key=lambda code: (order.get(code, -1), code)):
        found.setdefault(status_of(code), []).append(str(code))
    return dict(sorted(found.items()))

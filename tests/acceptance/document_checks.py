"""A check of Schemathesis: what a refusal says of a request that the document allows.

A schema cannot say everything: a cursor is one that a list gave, a point has one name, money has to
be there. Such refusals have codes of their own, which the document names for each operation. What
a schema can say is refused with the codes below, and never of a request that the schema allows.
"""

from typing import Any

import schemathesis
from schemathesis import Case
from schemathesis.checks import CheckContext
from schemathesis.core.transport import Response

BY_SCHEMA = frozenset(
    {
        *("body_invalid", "body_not_json", "body_unexpected", "member_repeated"),
        *("parameter_invalid", "parameter_missing", "parameter_repeated", "parameter_unknown"),
        *("header_repeated", "media_type_unsupported", "not_acceptable"),
    }
)
# A schema speaks of one field at a time. What a transaction needs depends on what else it says
# (postings need no amount of their own), and a stream of lines has no pages.
CONDITIONAL = {
    "body_invalid": frozenset({"amount", "source_account_id", "destination_account_id"}),
    "parameter_unknown": frozenset({"cursor", "limit", "order"}),
}


@schemathesis.check
def refused_only_for_what_no_schema_says(
    _context: CheckContext, response: Response, case: Case[Any]
) -> bool | None:
    """Fail for a request that the document allows, and that is refused for its shape."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return None
    if response.status_code not in range(400, 500):
        return None
    problem: dict[str, Any] = response.json()
    if problem.get("field") in CONDITIONAL.get(problem["code"], ()):
        return None
    assert problem["code"] not in BY_SCHEMA, f"allowed by the document: {problem}"
    return None

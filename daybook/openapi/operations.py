"""The table of operations: every route of the API, in the order in which they are documented."""

from collections.abc import Mapping
from typing import Any

import msgspec

from bank_statements.parameters import Decision, Override
from daybook.openapi import answers, codes
from daybook.openapi.codes import Codes
from daybook.openapi.parameters import (
    CURSOR,
    DIFFERENCE_KIND,
    FRESH,
    IMPORT,
    LIMIT,
    MATCH_STATUS,
    OF_ACCOUNT,
    TERMS,
    Parameter,
)

JSON = "application/json"
NDJSON = "application/x-ndjson"
TEXT = "text/plain"
CSV = "text/csv"
XML = "application/xml"
BYTES = "application/octet-stream"
SSE = "text/event-stream"
# The shape of a body, or a tuple of those that it may have, by media type.
Bodies = Mapping[str, Any]

TAGS = {
    "Submitting": "Money moves, or is held, scheduled, given back: what has an idempotency key.",
    "Accounts": "Policies of accounts, and closing the books.",
    "Reading transactions": "What was submitted, and what became of it.",
    "The log": "What happened, as it was recorded.",
    "Reading accounts": "Balances, entries and events of an account.",
    "Reconciling": "The log replayed against what the read models show.",
    "Proving": "The log as a transparency log: checkpoints, receipts, proofs.",
    "Statements of others": "Files of banks and processors, matched with entries.",
    "The service": "How it is.",
}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A route. Without a `scope` it needs no token; `answers` are the good ones, by status."""

    name: str
    route: str
    tag: str
    summary: str
    answers: Mapping[int, Bodies]
    scope: str | None = None
    body: Bodies | None = None
    body_required: bool = True
    parameters: tuple[Parameter, ...] = ()
    problems: Codes = frozenset()

    @property
    def method(self) -> str:
        """The HTTP method, in lower case as the document has it."""
        return self.route.partition(" ")[0].lower()

    @property
    def path(self) -> str:
        """The path below the API's own."""
        return self.route.partition(" ")[2]


def _json(shape: Any) -> Bodies:  # noqa: ANN401 - a type, or several
    return {JSON: shape}


STATEMENTS_OF_OTHERS = (
    Operation(
        name="importStatement",
        route="POST /statements",
        tag="Statements of others",
        summary="Import a bank's file and match it; 200 if it was imported before",
        scope="reconcile",
        parameters=(*IMPORT, *FRESH),
        body={CSV: str, TEXT: str, XML: str},
        answers={200: _json(answers.MatchedStatement), 201: _json(answers.MatchedStatement)},
        problems=codes.IMPORT,
    ),
    Operation(
        name="importedStatements",
        route="GET /statements",
        tag="Statements of others",
        summary="A ledger's imported statements, the latest first",
        scope="read",
        parameters=(OF_ACCOUNT, LIMIT, CURSOR, *FRESH),
        answers={200: _json(answers.ExternalStatements)},
        problems=codes.STATEMENTS_OF_OTHERS,
    ),
    Operation(
        name="importedStatement",
        route="GET /statements/{statement_id}",
        tag="Statements of others",
        summary="A statement, and how much of it agrees with the ledger",
        scope="read",
        parameters=FRESH,
        answers={200: _json(answers.MatchedStatement)},
        problems=codes.STATEMENT_OF_OTHERS,
    ),
    Operation(
        name="statementLines",
        route="GET /statements/{statement_id}/lines",
        tag="Statements of others",
        summary="A statement's lines, each with its match",
        scope="read",
        parameters=(LIMIT, CURSOR, *FRESH),
        answers={200: _json(answers.ExternalLines)},
        problems=codes.LINES_OF_OTHERS,
    ),
    Operation(
        name="statementMatches",
        route="GET /statements/{statement_id}/matches",
        tag="Statements of others",
        summary="A statement's matches, with what people said of them",
        scope="read",
        parameters=(MATCH_STATUS, LIMIT, CURSOR, *FRESH),
        answers={200: _json(answers.StatementMatches)},
        problems=codes.MATCHES,
    ),
    Operation(
        name="statementDiscrepancies",
        route="GET /statements/{statement_id}/discrepancies",
        tag="Statements of others",
        summary="Where a statement and the ledger do not agree",
        scope="read",
        parameters=(DIFFERENCE_KIND, LIMIT, CURSOR, *FRESH),
        answers={200: _json(answers.StatementDifferences)},
        problems=codes.DIFFERENCES,
    ),
    Operation(
        name="acceptMatch",
        route="POST /statements/{statement_id}/matches/{match_id}/accept",
        tag="Statements of others",
        summary="Accept a match",
        scope="reconcile",
        parameters=FRESH,
        body=_json(Decision),
        answers={200: _json(answers.StatementMatch)},
        problems=codes.DECIDE,
    ),
    Operation(
        name="rejectMatch",
        route="POST /statements/{statement_id}/matches/{match_id}/reject",
        tag="Statements of others",
        summary="Reject a match: what it linked is free again",
        scope="reconcile",
        parameters=FRESH,
        body=_json(Decision),
        answers={200: _json(answers.StatementMatch)},
        problems=codes.DECIDE,
    ),
    Operation(
        name="overrideMatch",
        route="POST /statements/{statement_id}/matches",
        tag="Statements of others",
        summary="Link lines and entries by hand",
        scope="reconcile",
        parameters=FRESH,
        body=_json(Override),
        answers={201: _json(answers.StatementMatch)},
        problems=codes.OVERRIDE,
    ),
    Operation(
        name="matchStatement",
        route="POST /statements/{statement_id}/match",
        tag="Statements of others",
        summary="Match what is left with the entries that there are now",
        scope="reconcile",
        parameters=(*TERMS, *FRESH),
        answers={200: _json(answers.MatchedStatement)},
        problems=codes.MATCH_AGAIN,
    ),
)
SERVICE = (
    Operation(
        name="openapi",
        route="GET /openapi.json",
        tag="The service",
        summary="This document",
        answers={200: _json(answers.Json)},
    ),
)
OPERATIONS = (*STATEMENTS_OF_OTHERS, *SERVICE)

"""How what goes wrong is answered: one shape (RFC 9457) for every kind of failure."""

import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import UNSET, UnsetType

from runtime import database, problems, telemetry
from runtime.problems import Problem as ProblemError
from runtime.problems import Rejected
from web.answers import ENCODER, Answer
from web.media import PROBLEM

log = logging.getLogger(__name__)

NOT_FOUND, WRONG_METHOD = 404, 405
# What the router refuses, of no route in particular.
ROUTER_CODES = {NOT_FOUND: "not_found", WRONG_METHOD: "method_not_allowed"}
OTHER_CODE = "http_error"


class Problem(msgspec.Struct, kw_only=True):
    """What was wrong, where, and what to do (RFC 9457). `code` is stable; `detail` may change.

    An atomic batch adds the `index` of the item, a dry run `dryRun`, a file its `line`. A refusal
    that is in the log adds `idempotencyKey`, `transactionId` and `pollUrl`; every other problem
    adds `requestId`, the header `Request-Id` of this answer.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | UnsetType | None = UNSET
    index: int | UnsetType = UNSET
    line: int | UnsetType = UNSET
    dryRun: bool | UnsetType = UNSET  # noqa: N815 - the API's own spelling
    idempotencyKey: str | UnsetType = UNSET  # noqa: N815
    transactionId: str | UnsetType = UNSET  # noqa: N815
    pollUrl: str | UnsetType = UNSET  # noqa: N815
    requestId: str | UnsetType = UNSET  # noqa: N815


def failed(method: str, path: str, error: Exception) -> Answer:
    """Answer what went wrong: a problem, a lost connection, what Litestar refuses, or a bug."""
    match error:
        case ProblemError():
            return answer_of(error)
        case HTTPException():
            return _router_answer(error)
        case _ if isinstance(error, database.CONNECTION_ERRORS):
            return answer_of(database.unavailable(error))
        case _:
            return _bug_answer(method, path, error)


def answer_of(problem: ProblemError) -> Answer:
    """Return the answer that says what was wrong with a request."""
    status, document = problems.body(problem)
    if isinstance(problem, Rejected):
        # A refusal is in the log, and a retry gets it again, the same in every byte.
        return Answer(ENCODER.encode(document), status, problems.headers(problem), PROBLEM)
    return _document(document, status, problems.headers(problem))


def _router_answer(error: HTTPException) -> Answer:
    """Answer what Litestar itself refuses, such as an unknown path."""
    code = ROUTER_CODES.get(error.status_code, OTHER_CODE)
    document = {
        "type": f"urn:daybook:problem:{code}",
        "title": error.detail,
        "status": error.status_code,
        "detail": error.detail,
        "code": code,
    }
    return _document(document, error.status_code, error.headers or {})


def _bug_answer(method: str, path: str, error: Exception) -> Answer:
    """Answer a bug: the traceback goes to the log, never to the client."""
    log.error("%s %s failed", method, path, exc_info=error)
    document = {
        "type": "urn:daybook:problem:internal_error",
        "title": "Something is wrong on our side",
        "status": 500,
        "detail": "Try again with the same idempotency key; nothing will happen twice.",
        "code": "internal_error",
    }
    return _document(document, 500, {})


def _document(document: dict[str, Any], status: int, headers: Mapping[str, str]) -> Answer:
    if request_id := telemetry.REQUEST_ID.get():
        document["requestId"] = request_id
    return Answer(ENCODER.encode(document), status, headers, PROBLEM)


def _response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Return the same for Litestar, which takes no ASGI application here."""
    answer = failed(request.scope["method"], request.scope["path"], error)
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, status_code=answer.status, headers=headers)


EXCEPTION_HANDLERS: dict[int | type[Exception], Any] = {Exception: _response}

"""Every way a request can fail, and its HTTP answer (RFC 9457 problem details).

    Problem
    ├── Invalid        the request's shape is wrong; nothing was appended
    │   ├── TooLarge, Unidentified, NotAllowed, NotFound
    │   └── of HTTP itself: WrongMethod, NotAcceptable, UnsupportedMedia, TooSlow, TargetTooLong,
    │       HeadTooLarge, ExpectationUnknown, CodingUnknown
    ├── Rejected       a business refusal; a *returned* value until it reaches the HTTP edge
    │   └── Outdated     another command changed the same thing first
    ├── Conflict       another request changes the same thing; read again, then try again
    └── Unavailable    a backend is down or full; try again later
    Bug                an assertion: the unit of work crashes, the answer is 500

The table below is the only place that maps them to a status; a test proves it complete.
"""

from typing import Any


class Problem(Exception):
    """`code` is stable and machine-readable; `detail` says what, where, and what to do."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **extensions: Any,  # noqa: ANN401 - whatever JSON the problem document should carry
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.extensions = extensions


class Invalid(Problem):
    """The request is malformed."""


class TooLarge(Invalid):
    """The body is over its bound."""


class Unidentified(Invalid):
    """No token, or none that we know."""


class NotAllowed(Invalid):
    """The token does not allow this request."""


class NotFound(Invalid):
    """What the request names does not exist for this caller."""


class WrongMethod(Invalid):
    """The path is known, and the method is none of its own."""


class NotAcceptable(Invalid):
    """The client accepts no media type that this route answers with."""


class UnsupportedMedia(Invalid):
    """The body has a media type or a coding that this route does not read."""


class TooSlow(Invalid):
    """The client did not send its request in time."""


class TargetTooLong(Invalid):
    """The request's target is over its bound."""


class HeadTooLarge(Invalid):
    """The head of the request is over its bound."""


class ExpectationUnknown(Invalid):
    """The client expects what this server does not do."""


class CodingUnknown(Invalid):
    """The body has a transfer coding that this server does not read."""


class Rejected(Problem):
    """A business refusal, already decided and (for keyed commands) in the log."""


class Outdated(Rejected):
    """A refusal because another command changed the same thing first: read again, then decide."""


class Conflict(Problem):
    """Another request changes the same thing, or did after the caller read it. Nothing was done."""


class Unavailable(Problem):
    """A backend does not answer, or a bounded queue is full. Try again later."""


STATUS: dict[type[Problem], tuple[int, str]] = {
    Invalid: (400, "The request is malformed"),
    TooLarge: (413, "The request body is too large"),
    Unidentified: (401, "A valid bearer token is needed"),
    NotAllowed: (403, "The token does not allow this"),
    NotFound: (404, "Not found"),
    WrongMethod: (405, "The method is not allowed here"),
    NotAcceptable: (406, "No acceptable answer"),
    UnsupportedMedia: (415, "The body cannot be read"),
    TooSlow: (408, "The request took too long"),
    TargetTooLong: (414, "The target is too long"),
    HeadTooLarge: (431, "The head of the request is too large"),
    ExpectationUnknown: (417, "The expectation cannot be met"),
    CodingUnknown: (501, "The transfer coding is not supported"),
    Rejected: (422, "The command was refused"),
    Outdated: (409, "The command was refused: something has changed"),
    Conflict: (409, "The request conflicts with another one"),
    Unavailable: (503, "The service cannot answer right now"),
}
RETRY_AFTER_S = 1


def body(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Return the HTTP status and the problem document of `problem`."""
    status, title = STATUS[type(problem)]
    document = {
        "type": f"urn:daybook:problem:{problem.code}",
        "title": title,
        "status": status,
        "detail": problem.detail,
        "code": problem.code,
    }
    return status, document | problem.extensions


def headers(problem: Problem) -> dict[str, str]:
    """Return the extra headers that belong to `problem`."""
    match problem:
        case Unavailable():
            return {"Retry-After": str(RETRY_AFTER_S)} | problem.headers
        case Unidentified():
            return {"WWW-Authenticate": "Bearer"} | problem.headers
        case _:
            return problem.headers

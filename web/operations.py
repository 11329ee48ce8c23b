"""Operations: each route of the API, declared once with types.

    @operation(
        "POST", "/transactions/{transaction_id}/refund",
        name="refund", tag="Submitting", scope="write",
        answers={200: Polled | DryRun, 202: Accepted},
        problems={404: ("transaction_not_found",), 422: REFUSALS},
    )
    async def refund(side: CommandSide, caller: Caller, path: OfTransaction, query: MayBeDryRun,
                     headers: Keyed, body: FollowUpBody) -> Reply:
        '''Refund all or part of a transaction.'''

The parameters of the function say what it takes; it takes only what it names:

    request  the `Request` itself, for a body that is read piece by piece
    side     what its room opened at start, found by its type (`opened`)
    caller   who asks, about which ledger; needs a `scope`
    path     the variable segments, a Struct
    query    the query string, a Struct; without it every parameter is refused
    headers  a Struct; a subclass of `Fresh` makes the operation wait for the position it names
    body     JSON in the shape of a Struct; or `bytes`, of one of the media types in `reads`
    kind     the media type of the body, one of those in `reads`
    media    which of the media types of its answers the client prefers

From this declaration alone come, in this order: authorisation, content negotiation, parsing and the
refusal of what is unknown or repeated, `admit` (room for one more), the body; and the OpenAPI
document (`web/openapi.py`). An answer that was not declared is a bug, and answered as one.
"""

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import cached_property
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from litestar import Litestar
from litestar.types import ASGIApp

from runtime.problems import Invalid, UnsupportedMedia
from web import bodies, freshness, media, parameters
from web.answers import POSITION, Answer, Reply
from web.caller import Caller, identify
from web.freshness import Fresh
from web.media import JSON
from web.parameters import Reader
from web.request import Request

Handler = Callable[..., Awaitable[Reply | ASGIApp]]
# The shape of a body by its media type; a shape alone is JSON.
Shapes = Any
Problems = Mapping[int, Collection[str]]
Admit = Callable[[Any, Caller], Awaitable[None]]
Shortcut = Callable[[Request], Awaitable[ASGIApp | None]]

# Many clients send it where there is nothing to say.
NOTHING = b"{}"

ACCESS: Problems = {
    400: ("ledger_missing",),
    401: ("token_missing", "token_unknown"),
    403: ("scope_missing", "ledger_not_allowed"),
}
ALWAYS: Problems = {
    400: ("header_repeated", "path_invalid", "query_invalid", "parameter_unknown"),
    406: ("not_acceptable",),
    500: ("internal_error",),
    503: ("database_unavailable",),
}
NO_BODY: Problems = {400: ("body_unexpected",)}
BODY: Problems = {
    400: ("body_not_json", "body_invalid", "body_incomplete", "member_repeated"),
    413: ("body_too_large",),
    415: ("media_type_unsupported", "content_coding_unsupported"),
}
FRESH: Problems = {503: ("position_not_reached",)}


class Operation(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One method of one path: what it takes, what it answers, and the function that does it."""

    method: str
    path: str
    name: str
    tag: str
    scope: str | None
    answers: Mapping[int, Mapping[str, Any]]
    handler: Handler
    reads: Mapping[str, Any]
    body_required: bool
    problems: Problems
    admit: Admit | None
    body_limit: str
    gives: tuple[str, ...]
    shortcut: Shortcut | None
    takes: Mapping[str, Any]
    path_reader: Reader | None
    query_reader: Reader | None
    headers_reader: Reader | None

    @property
    def summary(self) -> str:
        """Return the first sentence of the docstring."""
        return (self.handler.__doc__ or self.name).strip().partition("\n")[0].rstrip(".")

    @property
    def description(self) -> str:
        """Return what follows the first sentence."""
        text = inspect.getdoc(self.handler) or ""
        return text.partition("\n\n")[2].strip()

    @property
    def readers(self) -> list[Reader]:
        """Return what reads its parameters: path, query and headers, as far as it has them."""
        found = (self.path_reader, self.query_reader, self.headers_reader)
        return [reader for reader in found if reader is not None]

    @cached_property
    def offered(self) -> tuple[str, ...]:
        """Return the media types that it answers with, the usual one first."""
        return tuple(dict.fromkeys(name for shapes in self.answers.values() for name in shapes))

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Any]:
        return msgspec.json.Decoder(self.reads[JSON])

    @cached_property
    def _declared(self) -> dict[int, tuple[type, ...]]:
        """Return the shapes that a reply may have, by status."""
        return {
            status: tuple(_classes(shapes[JSON]))
            for status, shapes in self.answers.items()
            if JSON in shapes
        }

    @cached_property
    def _waits(self) -> bool:
        """Return whether it waits until the read models have reached a position."""
        return self.headers_reader is not None and issubclass(self.headers_reader.struct, Fresh)

    async def respond(self, request: Request) -> ASGIApp:
        """Return the answer to one request. Raises Problem."""
        request.check_headers()
        if self.shortcut is not None:
            answer = await self.shortcut(request)
            if answer is not None:
                return answer
        given: dict[str, Any] = {}
        if self.scope is not None:
            tokens = request.app.state.tokens
            caller = await identify(request.headers, tokens, self.scope)
            request.scope["caller"] = caller.who
            if "caller" in self.takes:
                given["caller"] = caller
        chosen = media.accepted(request.headers.get("accept"), self.offered)
        if "media" in self.takes:
            given["media"] = chosen
        if "side" in self.takes:
            given["side"] = opened(request.app)[self.takes["side"]]
        if "request" in self.takes:
            given["request"] = request
        self._read_parameters(request, given)
        if self._waits:
            side = given["side"]
            await freshness.ensure(given["headers"], side.reached, side.settings.wait_s_max)
        if self.admit is not None:
            await self.admit(given["side"], given["caller"])
        await self._read_body(request, given)
        made = await self.handler(**given)
        return self._checked(made) if isinstance(made, Reply) else made

    def _read_parameters(self, request: Request, given: dict[str, Any]) -> None:
        if self.path_reader is not None:
            given["path"] = self.path_reader.path(request.scope["daybook_path"])
        if self.query_reader is None:
            parameters.refuse_all(request.query_string)
        else:
            given["query"] = self.query_reader.query(request.query_string)
        if self.headers_reader is not None:
            given["headers"] = self.headers_reader.headers(request.headers)

    async def _read_body(self, request: Request, given: dict[str, Any]) -> None:
        headers = request.headers
        if not self.reads:
            length = headers.get("content-length", "0")
            if length == str(len(NOTHING)):
                length = "0" if await bodies.read_body(request, len(NOTHING)) == NOTHING else length
            if length != "0" or "transfer-encoding" in headers:
                raise Invalid("body_unexpected", "This route takes no body.")
            return
        if headers.get("content-encoding", "identity").lower() != "identity":
            detail = "The body is compressed; this service reads bodies as they are."
            raise UnsupportedMedia("content_coding_unsupported", detail)
        kind = media.content_type(headers.get("content-type"), tuple(self.reads))
        if "kind" in self.takes:
            given["kind"] = kind
        if "body" not in self.takes:
            return  # The function reads the request itself.
        bytes_max: int = getattr(request.app.state.settings, self.body_limit)
        raw = await bodies.read_body(request, bytes_max)
        if kind != JSON:
            given["body"] = raw
            return
        if not raw and not self.body_required:
            raw = b"{}"
        given["body"] = bodies.decode(raw, self._decoder)

    def _checked(self, reply: Reply) -> Answer:
        """Return a reply as bytes, if it is one of those that are declared."""
        assert isinstance(reply.body, self._declared[reply.status]), (self.name, reply.status)
        return reply.encoded()


def operation(  # noqa: PLR0913 - what an operation is declared with
    method: str,
    path: str,
    *,
    name: str,
    tag: str,
    answers: Mapping[int, Shapes],
    scope: str | None = None,
    reads: Mapping[str, Any] | None = None,
    body_required: bool = True,
    problems: Problems | None = None,
    admit: Admit | None = None,
    body_limit: str = "body_bytes_max",
    gives: tuple[str, ...] = (POSITION,),
    shortcut: Shortcut | None = None,
) -> Callable[[Handler], Operation]:
    """Declare the operation that a function does; see the module's docstring.

    `answers` are the good ones by status: a Struct or a union of some, or a mapping of media types
    to such (`bytes` and `str` stand for what has no shape). `problems` are the codes by status that
    the function itself may raise; those of access, parameters and bodies are added. `body_limit` is
    the setting that bounds the body's bytes, and `gives` are the headers of good answers.
    A busy operation may have a `shortcut`, which answers the plainest requests in less time, but as
    the operation would, and returns None for every other request.
    """

    def declare(handler: Handler) -> Operation:
        takes = get_type_hints(handler, include_extras=True)
        takes.pop("return", None)
        read = dict(reads or {})
        if not read and "body" in takes:
            read = {JSON: takes["body"]}
        made = Operation(
            method=method,
            path=path,
            name=name,
            tag=tag,
            scope=scope,
            answers={status: _by_media(shapes) for status, shapes in answers.items()},
            handler=handler,
            reads=read,
            body_required=body_required,
            problems={},
            admit=admit,
            body_limit=body_limit,
            gives=gives,
            shortcut=shortcut,
            takes=takes,
            path_reader=Reader(takes["path"], "path") if "path" in takes else None,
            query_reader=Reader(takes["query"], "query") if "query" in takes else None,
            headers_reader=Reader(takes["headers"], "header") if "headers" in takes else None,
        )
        return msgspec.structs.replace(made, problems=_problems(made, problems or {}))

    return declare


def merged(*groups: Problems) -> dict[int, tuple[str, ...]]:
    """Return the codes of several groups together, by status."""
    found: dict[int, dict[str, None]] = {}
    for group in groups:
        for status, codes in group.items():
            found.setdefault(status, {}).update(dict.fromkeys(str(code) for code in codes))
    return {status: tuple(codes) for status, codes in sorted(found.items())}


def _problems(made: Operation, own: Problems) -> Problems:
    codes = {code for reader in made.readers for code in reader.codes()}
    required = any(
        each.required and each.code == parameters.INVALID
        for reader in made.readers
        for each in reader.parameters
    )
    groups: list[Problems] = [own, ALWAYS, BODY if made.reads else NO_BODY]
    if codes:
        groups.append({400: sorted(codes)})
    if made.query_reader is not None:
        groups.append({400: ("parameter_repeated", "control_character")})
    if required:
        groups.append({400: (parameters.MISSING,)})
    if made.scope is not None:
        groups.append(ACCESS)
    if made.headers_reader is not None and issubclass(made.headers_reader.struct, Fresh):
        groups.append(FRESH)
    return merged(*groups)


def _by_media(shapes: Shapes) -> Mapping[str, Any]:
    return shapes if isinstance(shapes, Mapping) else {JSON: shapes}


def _classes(shape: Any) -> Sequence[type]:  # noqa: ANN401 - any annotation
    if get_origin(shape) in (Union, UnionType):
        return [each for part in get_args(shape) for each in _classes(part)]
    return [get_origin(shape) or shape]


def opened(app: Litestar) -> dict[type, Any]:
    """Return what the rooms of an application opened at start, by its type."""
    found: dict[type, Any] = app.state.setdefault("opened", {})
    return found

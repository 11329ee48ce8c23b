"""Every way to fail has one HTTP answer, in the shape of RFC 9457."""

from collections.abc import Iterator

import msgspec
import pytest

from runtime import problems
from runtime.problems import (
    STATUS,
    Conflict,
    Invalid,
    NotAllowed,
    NotFound,
    Outdated,
    Problem,
    Rejected,
    TooLarge,
    Unavailable,
    Unidentified,
)
from web.answers import ENCODER


def kinds(of: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Yield every subclass, however deep, of every module that is loaded."""
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_the_table_is_complete() -> None:
    """A new kind of problem needs a row; Problem itself is never raised."""
    assert set(kinds()) == set(STATUS)


@pytest.mark.parametrize(
    "kind, status",
    [
        (Invalid, 400),
        (TooLarge, 413),
        (Unidentified, 401),
        (NotAllowed, 403),
        (NotFound, 404),
        (Rejected, 422),
        (Outdated, 409),
        (Conflict, 409),
        (Unavailable, 503),
    ],
)
def test_a_problem_has_its_status(kind: type[Problem], status: int) -> None:
    """Clients rely on these."""
    assert problems.body(kind("some_code", "Some detail."))[0] == status


@pytest.mark.parametrize("kind", STATUS)
def test_the_body_is_a_problem_document(kind: type[Problem]) -> None:
    """RFC 9457: type is a URI, title is the kind's, status repeats the answer's."""
    status, body = problems.body(kind("some_code", "Some detail.", field="amount", more=[1]))
    shown = msgspec.json.decode(ENCODER.encode(body))
    assert shown == {
        "type": "urn:daybook:problem:some_code",
        "title": STATUS[kind][1],
        "status": status,
        "detail": "Some detail.",
        "code": "some_code",
        "field": "amount",
        "more": [1],
    }


def test_titles_tell_the_kinds_apart() -> None:
    """A title does not change from one occurrence to the next, and is one kind's own.

    A status is, too, but for 409: a refusal because somebody was faster, or just that.
    """
    assert len({title for _, title in STATUS.values()}) == len(STATUS)
    kinds_of = {kind: status for kind, (status, _) in STATUS.items() if kind is not Outdated}
    assert len(set(kinds_of.values())) == len(kinds_of)
    assert STATUS[Outdated][0] == STATUS[Conflict][0]


@pytest.mark.parametrize(
    "kind, expected",
    [
        (Conflict, {}),
        (Unavailable, {"Retry-After": "1"}),
        (Unidentified, {"WWW-Authenticate": "Bearer"}),
        (Rejected, {}),
        (Outdated, {}),
        (Invalid, {}),
    ],
)
def test_a_problem_has_its_headers(kind: type[Problem], expected: dict[str, str]) -> None:
    """What may be tried again says when; a problem's own headers are kept, and win."""
    assert problems.headers(kind("c", "d")) == expected
    own = {"Daybook-Position": "7"} | dict.fromkeys(expected, "9")
    assert problems.headers(kind("c", "d", headers=own)) == own


def test_a_problem_reads_well_in_a_log() -> None:
    """Code and detail."""
    assert str(Invalid("some_code", "Some detail.")) == "some_code: Some detail."

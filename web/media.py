"""The grammar of three headers: Content-Type, Accept (RFC 9110) and Prefer (RFC 7240). Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from runtime.problems import Invalid, NotAcceptable, UnsupportedMedia

JSON = "application/json"
NDJSON = "application/x-ndjson"
ANY = "*/*"
PROBLEM = "application/problem+json"
# What curl's `-d` sends if it is told nothing else. It says nothing about the body.
UNSTATED = "application/x-www-form-urlencoded"

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - HTTP's word for a word
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_VALUE = rf"(?:{_TOKEN}|{_QUOTED})"
_PARAMETERS = rf"(?P<parameters>(?:[ \t]*;[ \t]*(?:{_TOKEN}[ \t]*(?:=[ \t]*{_VALUE})?)?)*)"
_TYPE = re.compile(rf"(?P<type>{_TOKEN}/{_TOKEN}){_PARAMETERS}")
_PREFERENCE = re.compile(rf"(?P<name>{_TOKEN})(?:[ \t]*=[ \t]*(?P<value>{_VALUE})?)?{_PARAMETERS}")
_PARAMETER = re.compile(rf";[ \t]*(?P<name>{_TOKEN})(?:[ \t]*=[ \t]*(?P<value>{_VALUE}))?")
_ELEMENT = re.compile(rf"(?:[^\",]|{_QUOTED})+")
_WEIGHT = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_DIGITS_MAX = 9


class MediaType(NamedTuple):
    """A media type in lower case, and its parameters by their names in lower case."""

    name: str
    parameters: dict[str, str]


def content_type(text: str | None, known: Sequence[str]) -> str:
    """Return which of `known` a body is; the first if `Content-Type` does not say.

    Raises UnsupportedMedia.
    """
    if text == known[0] or text is None or not text.strip():
        return known[0]
    given = _media_type(text)
    if given is None:
        detail = f"`Content-Type: {text}` is no media type."
        raise UnsupportedMedia("media_type_unsupported", detail)
    if given.name == UNSTATED:
        return known[0]
    if given.name not in known:
        detail = f"This route reads {' or '.join(known)}, not {given.name}."
        raise UnsupportedMedia("media_type_unsupported", detail)
    charset = given.parameters.get("charset", "utf-8").lower()
    if given.name in (JSON, NDJSON) and charset not in ("utf-8", "utf8", "us-ascii"):
        detail = f"JSON is read as UTF-8, not as {charset}."
        raise UnsupportedMedia("media_type_unsupported", detail)
    return given.name


def accepted(text: str | None, offered: Sequence[str]) -> str:
    """Return which of `offered` an `Accept` header prefers; the first if it does not say.

    Raises NotAcceptable.
    """
    if text is None or not text.strip():
        return offered[0]
    ranges = [_weighed(element) for element in _elements(text)]
    best, best_weight = None, 0.0
    for media in offered:
        weight = max((_fit(*each, media) for each in ranges if each), default=(0, 0.0))[1]
        if weight > best_weight:
            best, best_weight = media, weight
    if best is None:
        detail = f"This route answers {' or '.join(offered)}, and `Accept` takes none of them."
        raise NotAcceptable("not_acceptable", detail)
    return best


def preferred_wait_s(text: str | None) -> int | None:
    """Return S of `Prefer: wait=S`, the first if there are several; None without it.

    Raises Invalid.
    """
    if text is None:
        return None
    for element in _elements(text):
        match = _PREFERENCE.fullmatch(element)
        if match is None or match["name"].lower() != "wait":
            continue
        digits = _unquoted(match["value"] or "")
        if not (digits.isascii() and digits.isdigit()):
            detail = "`Prefer: wait=S` takes a whole number of seconds."
            raise Invalid("prefer_invalid", detail, field="Prefer")
        return int(digits[:_DIGITS_MAX])
    return None


def _elements(text: str) -> Iterator[str]:
    """Yield the elements of a comma-separated list; commas inside quotes do not separate."""
    for match in _ELEMENT.finditer(text):
        if element := match[0].strip(" \t"):
            yield element


def _media_type(text: str) -> MediaType | None:
    match = _TYPE.fullmatch(text.strip(" \t"))
    if match is None:
        return None
    parameters = {
        each["name"].lower(): _unquoted(each["value"] or "")
        for each in _PARAMETER.finditer(match["parameters"])
    }
    return MediaType(match["type"].lower(), parameters)


def _weighed(element: str) -> tuple[str, float] | None:
    """Return a media range and its weight; None if it is malformed, which is no preference."""
    given = _media_type(element)
    if given is None:
        return None
    weight = given.parameters.get("q", "1")
    return (given.name, float(weight)) if _WEIGHT.fullmatch(weight) else None


def _fit(range_: str, weight: float, media: str) -> tuple[int, float]:
    """Return how specifically a range names `media` (0: not at all), and its weight."""
    if range_ == media:
        return 3, weight
    if range_ == media.partition("/")[0] + "/*":
        return 2, weight
    return (1, weight) if range_ == "*/*" else (0, 0.0)


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1])

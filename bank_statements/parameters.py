"""What a request about statements asks for: its query string, taken apart. Pure."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from bank_statements.formats.reading import MEDIA_TYPES, Format, Reader, reader
from bank_statements.matching.types import MatchingTerms, Rule
from events.schema import ACCOUNT_ID
from runtime.problems import Invalid

MAP = "map."
DAYS_MAX = 31
REFERENCE_DAYS_MAX = 366
TOLERANCE_MINOR_MAX = 10**9
PERCENT_MAX = 100
REASON_CHARACTERS_MAX = 500
LINKED_MAX = 1_000
_DIGITS_MAX = 10
_TERMS = {
    "days": DAYS_MAX,
    "reference_days": REFERENCE_DAYS_MAX,
    "tolerance_minor": TOLERANCE_MINOR_MAX,
    "similarity": PERCENT_MAX,
}
TERMS = ("rules", *_TERMS)


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a person accepts or rejects a match."""

    reason: str


class Linked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a transaction has posted to the account: one line of it, or all."""

    transaction_id: str
    line: int | None = None


class Override(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines of a statement that are entries of ours, because a person says so."""

    lines: tuple[int, ...]
    entries: tuple[Linked, ...]
    reason: str


def parameters(pairs: Iterable[tuple[str, str]], known: Sequence[str]) -> dict[str, str]:
    """Return a query string's parameters; `map.` among the known ones stands for all of them."""
    given: dict[str, str] = {}
    for name, text in pairs:
        if name not in known and not (MAP in known and name.startswith(MAP)):
            detail = f"This route has no parameter `{name}`."
            raise Invalid("parameter_unknown", detail, field=name)
        if name in given:
            raise Invalid("parameter_repeated", f"`{name}` is given twice.", field=name)
        given[name] = text
    return given


def account(text: str | None) -> str:
    """Return an account id."""
    if text is None or not ACCOUNT_ID.fullmatch(text):
        detail = "`account_id` must name the account that mirrors the statement's."
        raise Invalid("account_id_invalid", detail, field="account_id")
    return text


def how_to_read(given: Mapping[str, str], media_type: str) -> Reader:
    """Return how the file is to be read: by `format`, or else by its `Content-Type`."""
    columns = {name.removeprefix(MAP): text for name, text in given.items() if name.startswith(MAP)}
    text = given.get("format")
    named = media_type.partition(";")[0].strip().lower()
    try:
        form = MEDIA_TYPES[named] if text is None else Format(text)
    except (KeyError, ValueError) as error:
        detail = f"Say what the file is by `format`: {', '.join(Format)}."
        raise Invalid("format_invalid", detail, field="format") from error
    return reader(form, columns)


def terms(given: Mapping[str, str]) -> MatchingTerms:
    """Return the terms to match on; those that are not given are the usual ones."""
    made = MatchingTerms()
    if (rules := given.get("rules")) is not None:
        try:
            chosen = {Rule(name.strip()) for name in rules.split(",") if name.strip()}
        except ValueError as error:
            raise _wrong("rules", f"some of {', '.join(Rule)}, separated by commas") from error
        made = msgspec.structs.replace(made, rules=tuple(rule for rule in Rule if rule in chosen))
    for name, most in _TERMS.items():
        if (text := given.get(name)) is not None:
            digits = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
            if not digits or int(text) > most:
                raise _wrong(name, f"a whole number from 0 to {most}")
            made = msgspec.structs.replace(made, **{name: int(text)})
    return made


def reason(text: str) -> str:
    """Return why a person decides so."""
    if not text.strip() or len(text) > REASON_CHARACTERS_MAX or "\0" in text:
        detail = f"Say why in `reason`: 1 to {REASON_CHARACTERS_MAX} characters."
        raise Invalid("reason_invalid", detail, field="reason")
    return text.strip()


def _wrong(name: str, what: str) -> Invalid:
    return Invalid("terms_invalid", f"`{name}` must be {what}.", field=name)

"""Bytes of a file in one of the formats into a statement. Pure."""

from enum import StrEnum

import msgspec

from events.schema import Schema
from projections.external import parse_camt053, parse_csv, parse_mt940
from projections.external import statement as statements
from projections.external.parse_csv import Mapping
from projections.external.statement import Statement
from runtime.problems import Invalid


class Format(StrEnum):
    """What a file is written in."""

    CSV = "csv"
    MT940 = "mt940"
    CAMT053 = "camt.053"


MEDIA_TYPES = {
    "text/csv": Format.CSV,
    "text/plain": Format.MT940,
    "application/xml": Format.CAMT053,
    "text/xml": Format.CAMT053,
}


class Reader(msgspec.Struct, frozen=True):
    """How a file is to be read; a mapping goes with CSV."""

    format: Format
    mapping: Mapping | None = None


def reader(form: Format, columns: dict[str, str]) -> Reader:
    """Return how a file is to be read. Raises Invalid."""
    if form is Format.CSV:
        return Reader(form, parse_csv.mapping(columns))
    if columns:
        raise Invalid("mapping_invalid", "Only CSV takes a mapping.", field="map")
    return Reader(form)


def read(data: bytes, how: Reader, currency: str, schema: Schema) -> Statement:
    """Return the statement in `data`, of an account in `currency`. Raises Invalid, TooLarge."""
    found = _parsed(data, how, currency, schema)
    if found.currency != currency:
        detail = f"The statement is in {found.currency}, the account in {currency}."
        raise Invalid("statement_currency_mismatch", detail)
    return found


def _parsed(data: bytes, how: Reader, currency: str, schema: Schema) -> Statement:
    match how.format:
        case Format.CAMT053:
            return parse_camt053.parse(data, schema)
        case Format.MT940:
            return parse_mt940.parse(decoded(data), schema)
        case Format.CSV:
            assert how.mapping is not None
            return parse_csv.parse(decoded(data), how.mapping, currency, schema)


def decoded(data: bytes) -> str:
    """Return text in UTF-8, with or without a mark, or else in Windows-1252. Raises Invalid."""
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text
    raise statements.unreadable("The file is neither text in UTF-8 nor in Windows-1252.")

"""Bytes of a file in one of the formats into a statement. Pure."""

from enum import StrEnum

import msgspec

from bank_statements import statement as statements
from bank_statements.formats import camt053, mapped_csv, mt940
from bank_statements.formats.mapped_csv import Mapping
from bank_statements.statement import Statement
from events.schema import Schema
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
        return Reader(form, mapped_csv.mapping(columns))
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
            return camt053.parse(data, schema)
        case Format.MT940:
            return mt940.parse(decoded(data), schema)
        case Format.CSV:
            assert how.mapping is not None
            return mapped_csv.parse(decoded(data), how.mapping, currency, schema)


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

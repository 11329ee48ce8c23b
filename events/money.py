"""Exact amounts: decimal units at the edge, integers of minor units everywhere else.

No float comes near money, and no Decimal arithmetic either: a Decimal is only written out in its
digits, so the precision of a decimal context can never round an amount.
"""

import re
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from runtime.problems import Invalid

DIGITS_MAX = 38
DECIMALS_MAX = 18
# Every amount of an answer goes out twice: exact in units, and as a string of minor units.
Units = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="Exact, in the currency's unit.", extra_json_schema={"type": "number"}
    ),
]
Minor = Annotated[str, msgspec.Meta(description="The same in minor units.", pattern="^-?[0-9]+$")]
_PLAIN = re.compile(rb'("?)([0-9]+)(?:\.([0-9]+))?\1')
_NUMBER = re.compile(rb'("?)(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,9})?)\1')


def minor_units(raw: bytes, decimals: int, currency: str, field: str = "amount") -> int:
    """Return the minor units of a JSON number, or of a JSON string that looks like one.

    Most amounts are plain digits, and are read without a Decimal. Raises Invalid as `to_minor`.
    """
    plain = _PLAIN.fullmatch(raw)
    if plain is not None:
        whole, fraction = plain[2], plain[3] or b""
        if len(fraction) <= decimals and len(whole) + decimals <= DIGITS_MAX:
            minor = int(whole + fraction.ljust(decimals, b"0"))
            if minor:
                return minor
    return to_minor(parse(raw, field), decimals, currency, field)


def parse(raw: bytes, field: str = "amount") -> Decimal:
    """Return the amount in a JSON number or a JSON string that looks like one. Raises Invalid."""
    match = _NUMBER.fullmatch(raw)
    if match is None:
        detail = f"`{field}` must be a number such as 100.00, or a string that holds one."
        raise Invalid("amount_not_a_number", detail, field=field)
    return Decimal(match[2].decode())


def to_minor(amount: Decimal, decimals: int, currency: str, field: str = "amount") -> int:
    """Return `amount` units as minor units: 1.5 with 2 decimals is 150. Raises Invalid.

    Refuses NaN, infinities, zero, negatives, more decimals than the currency has, and more than
    38 digits. The size is checked before any big number is built.
    """
    if not amount.is_finite():
        raise Invalid("amount_not_finite", f"`{field}` must be a finite number.", field=field)
    if amount.is_signed() or not amount:
        raise Invalid("amount_not_positive", f"`{field}` must be greater than zero.", field=field)
    digits = amount.adjusted() + decimals + 1
    if digits > DIGITS_MAX:
        detail = f"`{field}` must have at most {DIGITS_MAX} digits in minor units."
        raise Invalid("amount_too_large", detail, field=field)
    if digits > 0:  # Otherwise it is less than one minor unit, with perhaps a billion zeros.
        whole, _, fraction = f"{amount:f}".partition(".")
        if not fraction[decimals:].strip("0"):
            return int(whole + fraction[:decimals].ljust(decimals, "0"))
    detail = f"`{field}` has more than the {decimals} decimals of {currency}."
    raise Invalid("amount_too_precise", detail, field=field)


def to_json(minor: int, decimals: int) -> msgspec.Raw:
    """Return minor units as an exact JSON number with all its decimals: 150 with 2 is 1.50."""
    return msgspec.Raw(to_text(minor, decimals).encode())


def fields(decimals: int, **minor: int | None) -> dict[str, Any]:
    """Return the fields that show amounts: of `fee=150`, `fee` in units and `fee_minor` as text."""
    made: dict[str, Any] = {}
    for name, amount in minor.items():
        made[name] = None if amount is None else to_json(amount, decimals)
        made[f"{name}_minor"] = None if amount is None else str(amount)
    return made


def to_text(minor: int, decimals: int) -> str:
    """Return minor units as text in units: 150 with 2 decimals is "1.50"."""
    if decimals == 0:
        return str(minor)
    digits = str(abs(minor)).rjust(decimals + 1, "0")
    sign = "-" if minor < 0 else ""
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"

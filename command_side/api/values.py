"""What the parts of a body mean: amounts, currencies, moments. Pure."""

from datetime import datetime

import msgspec

from events import money
from events.schema import Schema
from runtime.problems import Invalid
from web.times import moment


def minor(amount: msgspec.Raw, currency: str, schema: Schema) -> int:
    """Return an amount of units as minor units. Raises Invalid."""
    return money.to_minor(money.parse(bytes(amount)), schema.decimals(currency), currency)


def currency_of(text: str | None, schema: Schema) -> str:
    """Return the currency asked for; only one that is not named at all is the default."""
    currency = schema.defaults.currency if text is None else text
    schema.decimals(currency)
    return currency


def moment_of(text: str | None, field: str) -> datetime | None:
    """Return the moment that `text` means; a date is its first one, in UTC. Raises Invalid."""
    return moment(text, field, whole_day=False)


def ambiguous(detail: str) -> Invalid:
    """Return the answer to a body that says the same thing twice, or in two ways."""
    return Invalid("transaction_ambiguous", detail)

"""The configurable accounting schema: currencies, account classes, defaults and limits, in TOML.

`events/schema.toml` is the default and documents every key. A schema is checked whole when it is
loaded; every message names the key at fault. The currencies of ISO 4217 come from the library that
carries the standard's table; here they are only merged with the file's own.
"""

import re
import tomllib
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import iso4217
import msgspec

from events import money
from events.types import AccountType, Side
from runtime.problems import Invalid

DEFAULT_FILE = Path(__file__).with_name("schema.toml")
NONE, UNLIMITED = "none", "unlimited"
REMEMBERED_MAX = 100_000
POSTINGS_MAX = 500
ANY_CURRENCY = "currencies[...]"
ACCOUNT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}", re.ASCII)
_CURRENCY_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,15}")
_CLASS_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")


class SchemaError(ValueError):
    """The schema cannot be used; the message names the key."""


class Defaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`currency`: of a transaction that names none.

    `exchange_accounts`: what stands before the currency's code in the id of its exchange account.
    """

    currency: str
    exchange_accounts: str = "exchange:"


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of a transaction: how many postings it may have, and what may be attached to it."""

    postings_max: int = 100
    description_characters_max: int = 500
    metadata_keys_max: int = 50
    metadata_bytes_max: int = 4096
    metadata_required: tuple[str, ...] = ()


class Currency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`decimals` between the unit and the minor unit, 0 to 18."""

    decimals: int


# Without those that have no minor unit: precious metals, units of account, and the code for tests.
ISO_4217 = {
    known.code: Currency(decimals=known.exponent)
    for known in iso4217.Currency
    if known.exponent is not None
}


class AccountClass(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    dict=True,
    rename={"given_type": "type", "given_side": "normal_side"},
):
    """What an account whose id matches `pattern` may do.

    The file gives `type`, `normal_side` or both; here both are always known.
    """

    name: str
    pattern: str
    given_type: AccountType | None = None
    given_side: Side | None = None
    overdraft: str = NONE
    open_by_use: bool = True
    amount_max: str | None = None

    @property
    def type(self) -> AccountType:
        """As given, or what an account of this side usually is."""
        if self.given_type is not None:
            return self.given_type
        return AccountType.ASSET if self.given_side is Side.DEBIT else AccountType.LIABILITY

    @property
    def normal_side(self) -> Side:
        """As given (a contra account has the other side than its type), or that of the type."""
        return self.type.normal_side if self.given_side is None else self.given_side

    @cached_property
    def _matcher(self) -> re.Pattern[str]:
        escaped = re.escape(self.pattern)
        return re.compile(escaped.replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)

    def matches(self, account_id: str) -> bool:
        """Return whether `account_id` is of this class."""
        return self._matcher.fullmatch(account_id) is not None


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """A checked accounting schema; `currencies` has those of ISO 4217, too, if it takes them."""

    defaults: Defaults
    iso_4217: bool = False
    currencies: dict[str, Currency] = {}
    classes: tuple[AccountClass, ...]
    limits: Limits = Limits()

    def decimals(self, currency: str) -> int:
        """Return the decimals of `currency`. Raises Invalid."""
        known = self.currencies.get(currency)
        if known is None:
            detail = f"The accounting schema has no currency {currency!r}."
            raise Invalid("currency_unknown", detail, field="currency")
        return known.decimals

    def exchange_account(self, currency: str) -> str:
        """Return the id of the account that holds the exchange position in `currency`."""
        return self.defaults.exchange_accounts + currency

    def class_of(self, account_id: str) -> AccountClass | None:
        """Return the first class that matches, remembered for the hot ids."""
        remembered = self._remembered
        if account_id not in remembered:
            if len(remembered) >= REMEMBERED_MAX:
                remembered.clear()
            found = (kind for kind in self.classes if kind.matches(account_id))
            remembered[account_id] = next(found, None)
        return remembered[account_id]

    @cached_property
    def _remembered(self) -> dict[str, AccountClass | None]:
        return {}

    @cached_property
    def bounds_amounts(self) -> bool:
        """Whether any class has a largest single amount."""
        return any(kind.amount_max is not None for kind in self.classes)

    def overdraft_limit(self, kind: AccountClass, currency: str) -> int | None:
        """Return the class's overdraft limit in minor units; None is unlimited."""
        if kind.overdraft == UNLIMITED:
            return None
        if kind.overdraft == NONE:
            return 0
        return money.to_minor(Decimal(kind.overdraft), self.decimals(currency), currency)

    def amount_max(self, kind: AccountClass, currency: str) -> int | None:
        """Return the largest single amount in minor units; None is no limit."""
        if kind.amount_max is None:
            return None
        return money.to_minor(Decimal(kind.amount_max), self.decimals(currency), currency)


def load(path: str | Path | None = None) -> Schema:
    """Read and check a schema file (the default one if None). Raises SchemaError."""
    file = Path(path) if path is not None else DEFAULT_FILE
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SchemaError(f"{file}: the accounting schema cannot be read: {reason}") from error
    return parse(text, file.name)


def parse(text: str, name: str = "schema") -> Schema:
    """Check the schema in `text`. Raises SchemaError."""
    given: dict[str, Any] = {}
    try:
        given = tomllib.loads(text)
        schema = msgspec.convert(given, Schema)
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(f"{name}: not TOML: {error}") from error
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        key = where.strip("`").removeprefix("$.") or "the file"
        if key.startswith(ANY_CURRENCY):
            key = f"currencies.{_wrong_currency(given)}{key.removeprefix(ANY_CURRENCY)}"
        raise SchemaError(f"{name}: {key}: {what}") from error
    if schema.iso_4217:
        schema = msgspec.structs.replace(schema, currencies=ISO_4217 | schema.currencies)
    for problem in _faults(schema):
        raise SchemaError(f"{name}: {problem}")
    return schema


def _wrong_currency(given: dict[str, Any]) -> str:
    for code, table in given["currencies"].items():
        try:
            msgspec.convert(table, Currency)
        except msgspec.ValidationError:
            return str(code)
    raise AssertionError


def _faults(schema: Schema) -> list[str]:
    faults = []
    for code, currency in schema.currencies.items():
        faults += _currency_faults(schema, code, currency)
    if schema.defaults.currency not in schema.currencies:
        places = "[currencies] or ISO 4217" if schema.iso_4217 else "[currencies]"
        faults.append(f"defaults.currency: {schema.defaults.currency!r} is not in {places}")
    faults += _exchange_faults(schema)
    if not 1 <= schema.limits.postings_max <= POSTINGS_MAX:
        faults.append(f"limits.postings_max: must be 1 to {POSTINGS_MAX}")
    for field, value in msgspec.structs.asdict(schema.limits).items():
        if isinstance(value, int) and value < 0:
            faults.append(f"limits.{field}: must not be negative")
    if not schema.classes:
        faults.append("classes: at least one account class is needed")
    names: set[str] = set()
    for index, kind in enumerate(schema.classes):
        faults += _class_faults(kind, f"classes[{index}]")
        if kind.name in names:
            faults.append(f"classes[{index}].name: {kind.name!r} is given twice")
        names.add(kind.name)
        if kind.overdraft not in (NONE, UNLIMITED):
            faults += _amount_faults(schema, f"classes[{index}].overdraft", kind.overdraft)
        if kind.amount_max is not None:
            faults += _amount_faults(schema, f"classes[{index}].amount_max", kind.amount_max)
    return faults


def _currency_faults(schema: Schema, code: str, currency: Currency) -> list[str]:
    faults = []
    if not _CURRENCY_CODE.fullmatch(code):
        faults.append(f"currencies.{code}: a code is 2 to 16 of A-Z, 0-9 and _")
    if not 0 <= currency.decimals <= money.DECIMALS_MAX:
        faults.append(f"currencies.{code}.decimals: must be 0 to {money.DECIMALS_MAX}")
    standard = ISO_4217.get(code, currency)
    if schema.iso_4217 and currency != standard:
        detail = f"ISO 4217 gives {code} {standard.decimals}, and iso_4217 is on"
        faults.append(f"currencies.{code}.decimals: {detail}")
    return faults


def _exchange_faults(schema: Schema) -> list[str]:
    if not schema.defaults.exchange_accounts:
        return ["defaults.exchange_accounts: must not be empty"]
    ids = map(schema.exchange_account, schema.currencies)
    return [
        f"defaults.exchange_accounts: {account_id!r} would be no account id"
        for account_id in ids
        if not ACCOUNT_ID.fullmatch(account_id)
    ]


def _class_faults(kind: AccountClass, key: str) -> list[str]:
    faults = []
    if not _CLASS_NAME.fullmatch(kind.name):
        faults.append(f"{key}.name: {kind.name!r} is not 1 to 64 of a-z, 0-9 and -")
    if not kind.pattern:
        faults.append(f"{key}.pattern: must not be empty")
    if kind.given_type is None and kind.given_side is None:
        faults.append(f"{key}.type: is needed, or a normal_side")
    return faults


def _amount_faults(schema: Schema, key: str, text: str) -> list[str]:
    """A class serves accounts of any currency, so its amounts must be exact in all of them."""
    try:
        amount = money.parse(f'"{text}"'.encode())
        for code, currency in schema.currencies.items():
            money.to_minor(amount, currency.decimals, code)
    except Invalid as problem:
        return [f"{key}: {text!r}: {problem.detail}"]
    return []

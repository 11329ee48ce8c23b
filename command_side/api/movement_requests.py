"""From a body to a transfer, a hold or a scheduled transfer. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec

from command_side.api.bodies import (
    Amount,
    ConditionBody,
    ExchangeBody,
    PostingBody,
    ShareBody,
    TransactionBody,
)
from command_side.api.values import (
    ambiguous,
    check_account_id,
    check_attachments,
    currency_of,
    minor,
    moment_of,
)
from command_side.domain import splits
from command_side.domain.commands import Condition, Hold, Movement, Schedule, Transfer
from command_side.domain.splits import Share
from events import money
from events.schema import Schema
from events.types import Posting, Rate
from runtime.problems import Invalid


def movement(ledger: str, key: str, body: TransactionBody, schema: Schema) -> Movement:
    """Return the transfer, hold or scheduled transfer that `body` asks for. Raises Invalid."""
    check_attachments(body.description, body.reference, body.metadata, schema)
    postings, rate = _postings(body, schema)
    if len(postings) > schema.limits.postings_max:
        detail = f"A transaction has at most {schema.limits.postings_max} postings."
        raise Invalid("too_many_postings", detail, field="postings")
    asked: dict[str, Any] = {
        "ledger": ledger,
        "key": key,
        "postings": postings,
        "rate": rate,
        "description": body.description,
        "reference": body.reference,
        "metadata": body.metadata,
    }
    if body.conditions:
        asked["conditions"] = _conditions(body.conditions, postings, schema)
    _check_timing(body)
    if body.pending:
        return Hold(**asked, expires_at=moment_of(body.expires_at, "expires_at"))
    if body.due_at is not None:
        due_at = moment_of(body.due_at, "due_at")
        assert due_at is not None
        return Schedule(**asked, due_at=due_at)
    return Transfer(**asked, effective_at=moment_of(body.effective_at, "effective_at"))


def _postings(body: TransactionBody, schema: Schema) -> tuple[tuple[Posting, ...], Rate | None]:
    """Return the postings, and the rate if some were made by it."""
    currency = currency_of(body.currency, schema)
    if body.postings is not None:
        named = (body.source_account_id, body.destination_account_id, body.sources)
        if any(name is not None for name in (*named, body.destinations, body.exchange)) or (
            body.amount is not msgspec.UNSET
        ):
            raise ambiguous("`postings` say all: accounts, amounts and currencies.")
        if not body.postings:
            raise Invalid("postings_missing", "`postings` is empty.", field="postings")
        return tuple(_posting(posting, currency, schema) for posting in body.postings), None
    if body.exchange is not None:
        return _exchanged(body, body.exchange, currency, schema)
    if body.sources is None and body.destinations is None:
        amount = minor(_given(body.amount, "amount"), currency, schema)
        sides = _side(body, "source_account_id"), _side(body, "destination_account_id")
        return (_between(*sides, amount, currency),), None
    return _split(body, currency, schema), None


def _split(body: TransactionBody, currency: str, schema: Schema) -> tuple[Posting, ...]:
    sources = _shares(body.sources, body.source_account_id, "source", currency, schema)
    destinations = _shares(
        body.destinations, body.destination_account_id, "destination", currency, schema
    )
    if body.amount is not msgspec.UNSET:
        total = minor(body.amount, currency, schema)
    else:
        total = _total(sources) or _total(destinations)
        if not total:
            detail = "`amount` is needed, unless all shares of one side are amounts."
            raise Invalid("amount_missing", detail, field="amount")
    postings = splits.pair(
        splits.divide(total, sources, "sources"),
        splits.divide(total, destinations, "destinations"),
        currency,
    )
    for posting in postings:
        _check_apart(posting.debit, posting.credit)
    return postings


def _exchanged(
    body: TransactionBody, wanted: ExchangeBody, currency: str, schema: Schema
) -> tuple[tuple[Posting, ...], Rate]:
    if body.sources is not None or body.destinations is not None:
        raise ambiguous("An exchange is from one account to another one.")
    if wanted.currency == currency:
        detail = f"{currency} cannot be exchanged for itself."
        raise Invalid("exchange_same_currency", detail, field="exchange.currency")
    sold = minor(_given(body.amount, "amount"), currency, schema)
    decimals, bought_decimals = schema.decimals(currency), schema.decimals(wanted.currency)
    field = "exchange.rate"
    rate = money.minor_units(bytes(wanted.rate), splits.RATE_DECIMALS, "a rate", field)
    bought = splits.exchange(sold, decimals, rate, bought_decimals)
    source, destination = _side(body, "source_account_id"), _side(body, "destination_account_id")
    text = money.to_text(rate, splits.RATE_DECIMALS).rstrip("0").rstrip(".")
    return (
        _between(source, schema.exchange_account(currency), sold, currency),
        _between(schema.exchange_account(wanted.currency), destination, bought, wanted.currency),
    ), Rate(currency, wanted.currency, text)


def _posting(body: PostingBody, default: str, schema: Schema) -> Posting:
    currency = default if body.currency is None else body.currency
    return _between(
        check_account_id(body.source_account_id, "source_account_id"),
        check_account_id(body.destination_account_id, "destination_account_id"),
        minor(body.amount, currency, schema),
        currency,
    )


def _between(source: str, destination: str, amount: int, currency: str) -> Posting:
    _check_apart(source, destination)
    return Posting(source, destination, amount, currency)


def _check_apart(source: str, destination: str) -> None:
    if source == destination:
        raise Invalid("same_account", "Source and destination are the same account.")


def _side(body: TransactionBody, field: str) -> str:
    account_id = getattr(body, field)
    if account_id is None:
        raise Invalid("body_invalid", f"Object missing required field `{field}`", field=field)
    return check_account_id(account_id, field)


def _shares(
    shares: Sequence[ShareBody] | None, alone: str | None, side: str, currency: str, schema: Schema
) -> list[Share]:
    """Return the shares of one side; an account `alone` takes all of it."""
    field, field_alone = f"{side}s", f"{side}_account_id"
    if (shares is None) == (alone is None):
        raise ambiguous(f"Give either `{field}` or `{field_alone}`.")
    if shares is None:
        assert alone is not None
        return [Share(account_id=check_account_id(alone, field_alone))]
    if not 0 < len(shares) <= schema.limits.postings_max:
        detail = f"`{field}` has 1 to {schema.limits.postings_max} accounts."
        raise Invalid("too_many_postings", detail, field=field)
    return [_share(share, field, currency, schema) for share in shares]


def _share(body: ShareBody, field: str, currency: str, schema: Schema) -> Share:
    given = (body.amount is not msgspec.UNSET, body.percentage is not msgspec.UNSET, body.remaining)
    if sum(given) != 1:
        detail = f"Each of `{field}` has one of `amount`, `percentage` and `remaining`."
        raise Invalid("split_ambiguous", detail, field=field)
    account_id = check_account_id(body.account_id, f"{field}.account_id")
    if body.amount is not msgspec.UNSET:
        return Share(account_id=account_id, amount=minor(body.amount, currency, schema))
    if body.percentage is not msgspec.UNSET:
        name = f"{field}.percentage"
        raw = bytes(body.percentage)
        percent = money.minor_units(raw, splits.PERCENT_DECIMALS, "a percentage", name)
        return Share(account_id=account_id, percent=percent)
    return Share(account_id=account_id)


def _total(shares: Sequence[Share]) -> int:
    """Return the total of shares that are all amounts; 0, if one is not."""
    amounts = [share.amount for share in shares]
    return sum(amount for amount in amounts if amount) if None not in amounts else 0


def _conditions(
    conditions: Sequence[ConditionBody], postings: Sequence[Posting], schema: Schema
) -> tuple[Condition, ...]:
    currencies = {posting.debit: posting.currency for posting in postings}
    currencies |= {posting.credit: posting.currency for posting in postings}
    made = []
    for condition in conditions:
        currency = currencies.get(condition.account_id)
        if currency is None:
            detail = f"`conditions` name {condition.account_id!r}, which has no posting here."
            raise Invalid("condition_account_unknown", detail, field="conditions")
        made.append(
            Condition(
                account_id=condition.account_id,
                version=condition.expected_version,
                balance_min=_bound(condition.balance_min, "balance_min", currency, schema),
                balance_max=_bound(condition.balance_max, "balance_max", currency, schema),
            )
        )
    return tuple(made)


def _bound(amount: Amount, field: str, currency: str, schema: Schema) -> int | None:
    """Return a balance in minor units; unlike an amount, it may be zero or negative."""
    if amount is msgspec.UNSET:
        return None
    parsed = money.parse(bytes(amount), field)
    if not parsed:
        return 0
    minor = money.to_minor(parsed.copy_abs(), schema.decimals(currency), currency, field)
    return -minor if parsed.is_signed() else minor


def _check_timing(body: TransactionBody) -> None:
    """A transaction is either pending, or due later, or (perhaps back-dated) posted now."""
    given = {
        "pending": body.pending,
        "due_at": body.due_at is not None,
        "effective_at": body.effective_at is not None,
    }
    if sum(given.values()) > 1:
        first, second, *_ = (name for name, there in given.items() if there)
        raise Invalid("timing_ambiguous", f"`{first}` and `{second}` exclude each other.")
    if body.expires_at is not None and not body.pending:
        raise Invalid("timing_ambiguous", "`expires_at` is for a `pending` transaction.")
    if body.conditions and body.due_at is not None:
        detail = "`conditions` are checked now, and `due_at` is later."
        raise Invalid("timing_ambiguous", detail, field="conditions")


def _given(amount: Amount, field: str) -> msgspec.Raw:
    if amount is msgspec.UNSET:
        raise Invalid("body_invalid", f"Object missing required field `{field}`", field=field)
    return amount

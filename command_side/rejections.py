"""Every business refusal, in order of precedence: when several apply, the first one is given."""

from enum import StrEnum

import msgspec


class Code(StrEnum):
    """Stable codes. Never rename one, and never reuse one."""

    TRANSACTION_NOT_FOUND = "transaction_not_found"
    TRANSACTION_NOT_REFUNDABLE = "transaction_not_refundable"
    ACCOUNT_NOT_FOUND = "account_not_found"
    ACCOUNT_EXISTS = "account_exists"
    CURRENCY_MISMATCH = "currency_mismatch"
    ACCOUNT_CLOSED = "account_closed"
    ACCOUNT_FROZEN = "account_frozen"
    AMOUNT_OVER_LIMIT = "amount_over_limit"
    REFUND_EXCEEDS_ORIGINAL = "refund_exceeds_original"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    ACCOUNT_NOT_EMPTY = "account_not_empty"


class Rejection(msgspec.Struct, frozen=True):
    """A refusal: a returned value, not an exception. `detail` is for people."""

    code: Code
    detail: str

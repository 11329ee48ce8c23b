"""Every business refusal, in order of precedence: if several apply, the first one is returned."""

from enum import StrEnum

import msgspec


class Code(StrEnum):
    """Stable codes. Never rename one, and never reuse one."""

    # The earlier transaction of a follow-up.
    TRANSACTION_NOT_FOUND = "transaction_not_found"
    TRANSACTION_NOT_REFUNDABLE = "transaction_not_refundable"
    TRANSACTION_NOT_A_HOLD = "transaction_not_a_hold"
    HOLD_CAPTURED = "hold_captured"
    HOLD_VOIDED = "hold_voided"
    HOLD_EXPIRED = "hold_expired"
    TRANSACTION_NOT_SCHEDULED = "transaction_not_scheduled"
    SCHEDULE_EXECUTED = "schedule_executed"
    SCHEDULE_CANCELLED = "schedule_cancelled"
    # The accounts.
    ACCOUNT_NOT_FOUND = "account_not_found"
    ACCOUNT_EXISTS = "account_exists"
    VERSION_CONFLICT = "version_conflict"
    CURRENCY_MISMATCH = "currency_mismatch"
    ACCOUNT_CLOSED = "account_closed"
    ACCOUNT_FROZEN = "account_frozen"
    # Times.
    EFFECTIVE_AT_IN_FUTURE = "effective_at_in_future"
    PERIOD_CLOSED = "period_closed"
    EXPIRES_AT_PASSED = "expires_at_passed"
    DUE_AT_PASSED = "due_at_passed"
    CLOSING_IN_FUTURE = "closing_in_future"
    CLOSING_BACKWARDS = "closing_backwards"
    # Amounts.
    AMOUNT_OVER_LIMIT = "amount_over_limit"
    REFUND_EXCEEDS_ORIGINAL = "refund_exceeds_original"
    CAPTURE_EXCEEDS_HOLD = "capture_exceeds_hold"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    BALANCE_BELOW_MINIMUM = "balance_below_minimum"
    BALANCE_ABOVE_MAXIMUM = "balance_above_maximum"
    ACCOUNT_NOT_EMPTY = "account_not_empty"


class Rejection(msgspec.Struct, frozen=True):
    """A refusal is returned, not raised. `detail` is for people."""

    code: Code
    detail: str

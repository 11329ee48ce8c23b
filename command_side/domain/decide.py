"""`decide(command, state, schema, recorded_at)` returns events or a Rejection. Pure.

There is no clock, no random and no I/O here: the time is an argument, and the command has its id.
"""

from datetime import datetime
from typing import assert_never

from command_side.domain import account_rules, followup_rules, movement_rules
from command_side.domain.commands import (
    Cancel,
    Capture,
    ChangeAccount,
    CloseBooks,
    Hold,
    Keyed,
    OpenAccount,
    Refund,
    Schedule,
    Settle,
    Transfer,
    Void,
)
from command_side.domain.decision import Decision
from command_side.domain.state import State
from events.schema import Schema

Decidable = Keyed | Settle | OpenAccount | ChangeAccount | CloseBooks


def decide(command: Decidable, state: State, schema: Schema, recorded_at: datetime) -> Decision:
    """Return the events that `command` causes, or the first refusal by precedence."""
    match command:
        case Transfer():
            return movement_rules.transfer(command, state, schema, recorded_at)
        case Hold():
            return movement_rules.hold(command, state, schema, recorded_at)
        case Schedule():
            return movement_rules.schedule(command, recorded_at)
        case Settle():
            return movement_rules.settle(command, state, schema, recorded_at)
        case Refund():
            return followup_rules.refund(command, state, schema, recorded_at)
        case Capture():
            return followup_rules.capture(command, state, recorded_at)
        case Void():
            return followup_rules.void(command, state, recorded_at)
        case Cancel():
            return followup_rules.cancel(command, state, recorded_at)
        case OpenAccount():
            return account_rules.open_account(command, state, schema, recorded_at)
        case ChangeAccount():
            return account_rules.change_account(command, state, recorded_at)
        case CloseBooks():
            return account_rules.close_books(command, state, recorded_at)
        case _:
            assert_never(command)

"""The decision: `decide(command, state, schema, recorded_at) -> events | Rejection`. Pure.

No clock, no random, no I/O: time comes in as an argument, and identity from the command itself.
"""

from datetime import datetime
from typing import assert_never

from command_side.commands import (
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
from command_side.rules import Decision, accounts, followups, movements
from command_side.state import State
from events.schema import Schema

Decidable = Keyed | Settle | OpenAccount | ChangeAccount | CloseBooks


def decide(command: Decidable, state: State, schema: Schema, recorded_at: datetime) -> Decision:
    """Return the events that `command` causes, or the first refusal by precedence."""
    match command:
        case Transfer():
            return movements.transfer(command, state, schema, recorded_at)
        case Hold():
            return movements.hold(command, state, schema, recorded_at)
        case Schedule():
            return movements.schedule(command, recorded_at)
        case Settle():
            return movements.settle(command, state, schema, recorded_at)
        case Refund():
            return followups.refund(command, state, schema, recorded_at)
        case Capture():
            return followups.capture(command, state, recorded_at)
        case Void():
            return followups.void(command, state, recorded_at)
        case Cancel():
            return followups.cancel(command, state, recorded_at)
        case OpenAccount():
            return accounts.open_account(command, state, schema, recorded_at)
        case ChangeAccount():
            return accounts.change_account(command, state, recorded_at)
        case CloseBooks():
            return accounts.close_books(command, state, recorded_at)
        case _:
            assert_never(command)

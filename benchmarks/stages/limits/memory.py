"""What needs no server: from a body to a command, deciding, encoding, folding, packing."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from benchmarks.loads.requests import transfer
from benchmarks.measures.singles import ACCOUNTS
from benchmarks.stages.limits.clock import Spent, spending
from command_side.api import movement_requests
from command_side.api.bodies import SubmitBody
from command_side.api.values import check_key
from command_side.domain.commands import Movement
from command_side.domain.decide import decide
from command_side.domain.rejections import Rejection
from command_side.domain.state import State
from command_side.settings import CommandSettings
from events import codec
from events import schema as schemas
from events.envelope import Envelope, pack
from events.schema import Schema
from events.types import FIRST_VERSION, Event, Recorded
from projections.folds import projected_rows
from projections.folds.balances import AccountKey, BalanceRow
from projections.folds.projected_rows import ProjectedRows
from runtime.sql import Row
from web.http import decode

LEDGER = "demo"
BATCH = 500
_SUBMIT = msgspec.json.Decoder(SubmitBody)


class Deciding(msgspec.Struct, frozen=True):
    """Microseconds of each transfer."""

    body_us: float
    decide_us: float
    encode_us: float


def deciding(transfers: int) -> Deciding:
    """Read, decide and encode so many transfers between accounts that are open before."""
    chosen = random.Random(transfers)
    pairs = [(chosen.randrange(ACCOUNTS), chosen.randrange(ACCOUNTS)) for _ in range(transfers)]
    schema, state = schemas.load(), State({})
    opening = [transfer(a, b, f"open-{n}").encode() for n, (a, b) in enumerate(pairs)]
    _decided(_commands(opening, schema), state, schema)
    body, decision, encoding = Spent(), Spent(), Spent()
    bodies = [transfer(a, b, f"limit-{n}").encode() for n, (a, b) in enumerate(pairs)]
    for first in range(0, len(bodies), BATCH):
        with spending(body):
            commands = _commands(bodies[first : first + BATCH], schema)
        with spending(decision):
            events = _decided(commands, state, schema)
        with spending(encoding):
            for event in events:
                codec.encode(event)
    return Deciding(*(spent.own_us(transfers) for spent in (body, decision, encoding)))


def _commands(bodies: Sequence[bytes], schema: Schema) -> list[Movement]:
    asked = [decode(body, _SUBMIT) for body in bodies]
    commands = [
        movement_requests.movement(LEDGER, check_key(a.idempotencyKey, None), a.transaction, schema)
        for a in asked
    ]
    # Both are computed once, when they are first asked for.
    identified = {command.transaction_id: command.fingerprint for command in commands}
    assert len(identified) == len(commands), "a key was used twice"
    return commands


def _decided(commands: Sequence[Movement], state: State, schema: Schema) -> list[Event]:
    now = datetime.now(UTC)
    events: list[Event] = []
    for command in commands:
        decision = decide(command, state, schema, now)
        assert not isinstance(decision, Rejection), decision.detail
        for event in decision:
            recorded = Recorded(len(events) + 1, command.transaction_id, FIRST_VERSION, event)
            state.apply(recorded)
            events.append(event)
    return events


def folded(
    pages_of: Sequence[Sequence[Recorded]], balances: dict[AccountKey, BalanceRow], spent: Spent
) -> list[ProjectedRows]:
    """Fold pages of events whose accounts are all among the `balances`, which change."""
    done = []
    for events in pages_of:
        with spending(spent):
            changed = projected_rows.changed(events)
            page = ProjectedRows({}, balances, {})
            projected_rows.fold(events, page)
        kept = {key: msgspec.structs.replace(balances[key]) for key in sorted(changed.balances)}
        done.append(msgspec.structs.replace(page, balances=kept))
    return done


def opened(events: Sequence[Recorded]) -> dict[AccountKey, BalanceRow]:
    """Return balances of nothing for all accounts that `events` move."""
    first = events[0].event.recorded_at
    return {
        (ledger, account_id): BalanceRow(ledger, account_id, 0, 0, 0, 0, 0, first)
        for ledger, account_id in projected_rows.changed(events).balances
    }


def packed(rows: Sequence[Row], spent: Spent) -> list[Envelope]:
    """Return full envelopes of the log's rows."""
    with spending(spent):
        bounds = CommandSettings.envelope_bytes_max, CommandSettings.envelope_events_max
        return list(pack(rows, *bounds))

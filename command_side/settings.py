"""The settings of the command API and of the relay."""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from events.settings import EventSettings
from runtime.settings import Count, Seconds, SecondsOrZero
from web.settings import WebSettings


@dataclass(frozen=True, kw_only=True)
class CommandSettings(WebSettings, EventSettings):
    """The bounds of a batch, of the fair queue and of an envelope."""

    batch_body_bytes_max: Count = 16_777_216
    batch_commands_max: Count = 500
    waiting_commands_max: Count = 10_000
    ledger_waiting_commands_max: Count = 5_000
    expected_wait_s_max: Seconds = 0.5
    waiting_s_max: Seconds = 2.0
    refusal_held_s: SecondsOrZero = 3.0
    sweep_interval_s: Seconds = 0.5
    envelope_bytes_max: Count = 240_000
    envelope_events_max: Count = 1_000
    relay_interval_ms: Annotated[int, msgspec.Meta(ge=0)] = 100

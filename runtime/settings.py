"""Everything a process takes from its environment, in one frozen struct.

`.env.example` documents every variable; a test holds the two together.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

PREFIX = "DAYBOOK_"
Count = Annotated[int, msgspec.Meta(ge=1)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class SettingsError(ValueError):
    """A variable is missing or cannot be read; the message names it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Field `database_url` is the variable `DAYBOOK_DATABASE_URL`, and so on."""

    database_url: str
    cache_url: str
    queue_url: str
    host: str = "127.0.0.1"
    port: Port = 3000
    health_port: Port | None = None
    schema_file: str | None = None
    log_level: str = "INFO"
    body_bytes_max: Count = 65_536
    batch_body_bytes_max: Count = 16_777_216
    statement_bytes_max: Count = 16_777_216
    batch_commands_max: Count = 500
    waiting_commands_max: Count = 10_000
    tenant_waiting_commands_max: Count = 5_000
    expected_wait_s_max: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    waiting_s_max: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    refusal_held_s: Annotated[float, msgspec.Meta(ge=0)] = 3.0
    sweep_interval_s: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    read_connections_max: Count = 8
    streams_max: Count = 200
    tenant_streams_max: Count = 20
    result_ttl_s: Count = 86_400
    envelope_bytes_max: Count = 240_000
    envelope_events_max: Count = 1_000
    relay_interval_ms: Annotated[int, msgspec.Meta(ge=0)] = 100
    projection_events_max: Count = 2_000
    idle_poll_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    lag_s_max: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    seal_key_file: str | None = None
    seal_checkpoints: str | None = None
    seal_interval_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    wait_s_max: Annotated[float, msgspec.Meta(ge=0)] = 30.0


def load(environ: Mapping[str, str]) -> Settings:
    """Read settings from `environ`. Raises SettingsError naming the variable."""
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and value != ""
    }
    for field in msgspec.structs.fields(Settings):
        if field.required and field.name not in given:
            variable = PREFIX + field.name.upper()
            raise SettingsError(
                f"{variable} is not set. `.env.example` lists every variable and its default."
            )
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        raise SettingsError(f"{PREFIX}{where.rstrip('`').upper()}: {what}") from error

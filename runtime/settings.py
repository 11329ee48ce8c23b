"""Everything a process takes from its environment, in one frozen struct.

`.env.example` documents every variable; a test holds the two together.
"""

from collections.abc import Mapping

import msgspec

PREFIX = "DAYBOOK_"


class SettingsError(ValueError):
    """A variable is missing or cannot be read; the message names it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Field `database_url` is the variable `DAYBOOK_DATABASE_URL`, and so on."""

    database_url: str
    cache_url: str
    queue_url: str
    host: str = "127.0.0.1"
    port: int = 3000
    health_port: int | None = None
    schema_file: str | None = None
    log_level: str = "INFO"
    body_bytes_max: int = 65_536
    batch_commands_max: int = 500
    waiting_commands_max: int = 10_000
    read_connections_max: int = 8
    claim_lease_s: int = 5
    result_ttl_s: int = 86_400
    envelope_bytes_max: int = 240_000
    envelope_events_max: int = 1_000
    relay_interval_ms: int = 50
    projection_events_max: int = 2_000
    idle_poll_s: float = 1.0
    wait_s_max: float = 30.0


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
        raise SettingsError(f"A {PREFIX}* variable cannot be read: {error}") from error

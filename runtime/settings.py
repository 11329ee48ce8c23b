"""The settings that every process needs, and the reader of settings from the environment.

Each room declares its own settings in its `settings.py`, as a frozen dataclass that inherits
`ProcessSettings`; `daybook/settings.py` inherits them all. A function takes its own room's
settings. They are dataclasses because a msgspec Struct cannot inherit fields from two bases.

`.env.example` documents every variable; a test compares it with the dataclasses.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, TypeVar

import msgspec

PREFIX = "DAYBOOK_"
Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
SecondsOrZero = Annotated[float, msgspec.Meta(ge=0)]

Given = TypeVar("Given", bound="ProcessSettings")


class SettingsError(ValueError):
    """A variable is missing or cannot be read; the message names it."""


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """The field `database_url` is the variable `DAYBOOK_DATABASE_URL`, and so on."""

    database_url: str
    cache_url: str
    queue_url: str
    log_level: str = "INFO"
    idle_poll_s: Seconds = 1.0


def load(environ: Mapping[str, str], kind: type[Given]) -> Given:
    """Read the settings of type `kind` from `environ`. Raises SettingsError naming the variable."""
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and value != ""
    }
    for field in fields(kind):
        if field.default is MISSING and field.name not in given:
            variable = PREFIX + field.name.upper()
            raise SettingsError(
                f"{variable} is not set. `.env.example` lists every variable and its default."
            )
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        raise SettingsError(f"{PREFIX}{where.rstrip('`').upper()}: {what}") from error

"""The settings of every process that reads amounts or accounts."""

from dataclasses import dataclass

from runtime.settings import ProcessSettings


@dataclass(frozen=True, kw_only=True)
class EventSettings(ProcessSettings):
    """The file of the accounting schema; None is `events/schema.toml`."""

    schema_file: str | None = None

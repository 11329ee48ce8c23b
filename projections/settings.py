"""The settings of the projector."""

from dataclasses import dataclass

from runtime.settings import Count, ProcessSettings


@dataclass(frozen=True, kw_only=True)
class ProjectionSettings(ProcessSettings):
    """The bound of one transaction of the projector."""

    projection_events_max: Count = 2_000

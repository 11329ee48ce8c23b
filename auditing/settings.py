"""The settings of what audits."""

from dataclasses import dataclass

from events.settings import EventSettings
from runtime.settings import Seconds
from web.settings import WebSettings


@dataclass(frozen=True, kw_only=True)
class AuditSettings(WebSettings, EventSettings):
    """How late a reader of the log may be before an audit reports it."""

    lag_s_max: Seconds = 60.0

"""The settings of the query API."""

from dataclasses import dataclass

from events.settings import EventSettings
from runtime.settings import Count
from web.settings import WebSettings


@dataclass(frozen=True, kw_only=True)
class QuerySettings(WebSettings, EventSettings):
    """How many connections and event streams one process opens."""

    read_connections_max: Count = 8
    streams_max: Count = 200
    ledger_streams_max: Count = 20

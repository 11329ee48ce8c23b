"""The settings of what matches files of banks with a ledger."""

from dataclasses import dataclass

from events.settings import EventSettings
from runtime.settings import Count
from web.settings import WebSettings


@dataclass(frozen=True, kw_only=True)
class BankStatementSettings(WebSettings, EventSettings):
    """The bound of one file."""

    statement_bytes_max: Count = 16_777_216

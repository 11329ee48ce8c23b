"""The settings of every process that answers HTTP."""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from runtime.settings import Count, ProcessSettings, SecondsOrZero

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


@dataclass(frozen=True, kw_only=True)
class WebSettings(ProcessSettings):
    """Where a process listens, and the bounds of one request."""

    host: str = "127.0.0.1"
    port: Port = 3000
    health_port: Port | None = None
    body_bytes_max: Count = 65_536
    wait_s_max: SecondsOrZero = 30.0
    result_ttl_s: Count = 86_400

"""The settings of every process that answers HTTP."""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from runtime.settings import Count, ProcessSettings, Seconds, SecondsOrZero

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """What a client may take before anything is known of it; see `web/protocol.py`."""

    http_head_bytes_max: Annotated[int, msgspec.Meta(ge=1_024)] = 32_768
    http_header_fields_max: Count = 100
    http_target_bytes_max: Annotated[int, msgspec.Meta(ge=256)] = 8_192
    http_head_s_max: Seconds = 10.0
    http_body_bytes_per_s_min: Count = 1_024
    http_bodies_bytes_max: Count = 268_435_456
    http_connections_max: Count = 10_000
    http_idle_s_max: Count = 75
    http_access_log: bool = False


@dataclass(frozen=True, kw_only=True)
class WebSettings(ProcessSettings, HttpLimits):
    """Where a process listens, and the bounds of one request."""

    host: str = "127.0.0.1"
    port: Port = 3000
    health_port: Port | None = None
    body_bytes_max: Count = 65_536
    wait_s_max: SecondsOrZero = 30.0
    result_ttl_s: Count = 86_400

"""The settings of the sealer and of what verifies."""

from dataclasses import dataclass

from runtime.settings import Seconds
from web.settings import WebSettings


@dataclass(frozen=True, kw_only=True)
class SealSettings(WebSettings):
    """The signing key's file, where signed checkpoints are sent, and how often."""

    seal_key_file: str | None = None
    seal_checkpoints: str | None = None
    seal_interval_s: Seconds = 1.0

"""All settings of the program: every room's, in one frozen dataclass."""

from collections.abc import Mapping
from dataclasses import dataclass

from auditing.settings import AuditSettings
from bank_statements.settings import BankStatementSettings
from command_side.settings import CommandSettings
from projections.settings import ProjectionSettings
from query_side.settings import QuerySettings
from runtime import settings
from sealing.settings import SealSettings


@dataclass(frozen=True, kw_only=True)
class Settings(
    CommandSettings,
    ProjectionSettings,
    QuerySettings,
    AuditSettings,
    SealSettings,
    BankStatementSettings,
):
    """Everything that `.env.example` documents."""


def load(environ: Mapping[str, str]) -> Settings:
    """Read every setting from `environ`. Raises SettingsError naming the variable."""
    return settings.load(environ, Settings)

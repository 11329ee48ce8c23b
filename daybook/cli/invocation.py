"""What commands share: they read the settings, run an action, and print its result."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

if TYPE_CHECKING:
    from daybook.settings import Settings

Result = TypeVar("Result")

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def settings() -> "Settings":
    """Return the settings from the environment, and log as they say. Raises SettingsError."""
    from daybook import settings as all_settings  # noqa: PLC0415 - `--help` needs no settings
    from runtime import telemetry  # noqa: PLC0415

    given = all_settings.load(os.environ)
    telemetry.log_to_stderr(given.log_level)
    return given


def run(action: Callable[["Settings"], Coroutine[None, None, Result]]) -> Result:
    """Run an action with the settings from the environment, and return its result."""
    return run_without_settings(action(settings()))


def run_without_settings(action: Coroutine[None, None, Result]) -> Result:
    """Run an action, and return its result."""
    import uvloop  # noqa: PLC0415 - `--help` needs no event loop

    return uvloop.run(action)


def run_process(process: Callable[["Settings"], Coroutine[None, None, None]]) -> None:
    """Run a process until a signal stops it."""
    from runtime import loop  # noqa: PLC0415 - as above

    loop.collect_garbage_rarely()
    try:
        run(process)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("stopped", err=True)


def say(as_json: bool, value: object, text: str) -> None:
    """Print a result: `value` as one JSON object, or `text`."""
    click.echo(msgspec.json.encode(value, enc_hook=str).decode() if as_json else text)

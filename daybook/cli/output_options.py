"""The options of commands whose result is a sheet: its format, and the file to write it to."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

from daybook.cli.sheets import OutputFormat


class Output(NamedTuple):
    """The format of a result and the file to write it to; None is standard output."""

    format: OutputFormat
    file: Path | None


def output_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which gets them as one argument `output`."""

    @functools.wraps(command)
    def with_output(form: str, as_json: bool, file: Path | None, **given: object) -> None:
        chosen = OutputFormat.JSON if as_json else OutputFormat(form)
        command(output=Output(chosen, file), **given)

    options: tuple[Callable[[Callable[..., None]], Callable[..., None]], ...] = (
        click.option(
            *("--output", "file"),
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write to this file, which appears when it is complete.",
        ),
        click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
        click.option(
            *("--format", "form"),
            type=click.Choice([each.value for each in OutputFormat]),
            default=OutputFormat.TEXT.value,
            show_default=True,
            help="The format of the result.",
        ),
    )
    made: Callable[..., None] = with_output
    for option in options:
        made = option(made)
    return made

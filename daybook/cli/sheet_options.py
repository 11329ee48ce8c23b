"""The options of commands whose result is a sheet: how it is written, and where."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

from daybook.cli.sheets import Form


class Written(NamedTuple):
    """How a result is written, and where; None is standard output."""

    form: Form
    output: Path | None


def written(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say so; it gets them as one argument, `written`."""

    @functools.wraps(command)
    def writing(form: str, as_json: bool, output: Path | None, **given: object) -> None:
        command(written=Written(Form.JSON if as_json else Form(form), output), **given)

    options: tuple[Callable[[Callable[..., None]], Callable[..., None]], ...] = (
        click.option(
            *("--output", "output"),
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write to this file, which is there only when it is whole.",
        ),
        click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
        click.option(
            *("--format", "form"),
            type=click.Choice([form.value for form in Form]),
            default=Form.TEXT.value,
            show_default=True,
            help="How the result is written.",
        ),
    )
    made: Callable[..., None] = writing
    for option in options:
        made = option(made)
    return made

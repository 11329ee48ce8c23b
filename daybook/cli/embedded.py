"""`daybook up`, `demo` and `drill`: Daybook with servers of its own on this machine."""

import sys
from pathlib import Path

import click

from daybook.cli.invocation import as_json, run_without_settings


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=".daybook",
    show_default=True,
    help="The folder that keeps the data from one run to the next.",
)
@click.option(
    "--port",
    default=3000,
    show_default=True,
    help="The port of the API on 127.0.0.1; 0 chooses a free one.",
)
@click.option("--ephemeral", is_flag=True, help="Use a temporary folder, removed at the end.")
def up(data: Path, port: int, ephemeral: bool) -> None:
    """Run Daybook and all its servers on this machine.

    The servers are PostgreSQL, Valkey and an SQS API.
    """
    from daybook.embedded import up as servers  # noqa: PLC0415 - a container starts no servers

    sys.exit(run_without_settings(servers.up(data, port, ephemeral=ephemeral)))


@click.command()
@as_json
def demo(as_json: bool) -> None:
    """Send transfers through a throw-away Daybook.

    Exit code 1: a step went wrong.
    """
    from daybook.embedded.demo import demo as walk  # noqa: PLC0415

    sys.exit(run_without_settings(walk(as_json=as_json)))


@click.command()
@click.option(
    "--transfers",
    type=click.IntRange(min=200),
    default=300,
    show_default=True,
    help="How many transfers to load before anything is damaged.",
)
@as_json
def drill(transfers: int, as_json: bool) -> None:
    """Corrupt a throw-away Daybook in every known way.

    Each corruption must be found, named, located and repaired. Exit code 1: one was
    not.
    """
    from daybook.drill.drill import drill as corrupt  # noqa: PLC0415

    sys.exit(run_without_settings(corrupt(transfers=transfers, as_json=as_json)))


COMMANDS = (up, demo, drill)

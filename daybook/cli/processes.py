"""`daybook serve`, `relay`, `project`, `audit` and `seal`: the processes that run until stopped.

Each command imports its own process only: a worker needs no HTTP routes, and starts faster.
"""

import click

from daybook.cli.invocation import run_process
from daybook.processes.side import ServedSide


@click.command()
@click.argument("side", type=click.Choice([side.value for side in ServedSide]), default="all")
def serve(side: str) -> None:
    """Serve the command API, the query API, or both."""
    from daybook.processes.serve import serve as serve_side  # noqa: PLC0415

    run_process(lambda settings: serve_side(settings, ServedSide(side)))


@click.command()
def relay() -> None:
    """Publish the log to SQS."""
    from daybook.processes import relay as process  # noqa: PLC0415

    run_process(process.run)


@click.command()
def project() -> None:
    """Apply the log to the read models."""
    from daybook.processes import project as process  # noqa: PLC0415

    run_process(process.run)


@click.command()
def audit() -> None:
    """Verify the views continuously.

    It also does the reconciliations that are requested over HTTP.
    """
    from daybook.processes import audit as process  # noqa: PLC0415

    run_process(process.run)


@click.command()
def seal() -> None:
    """Sign checkpoints of the log's Merkle tree."""
    from daybook.processes import seal as process  # noqa: PLC0415

    run_process(process.run)


COMMANDS = (serve, relay, project, audit, seal)

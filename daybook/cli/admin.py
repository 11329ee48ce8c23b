"""`daybook migrate` and `token`: what an administrator does."""

import click

from daybook.cli.invocation import as_json, run, say

SCOPES = ("read", "write", "reconcile")


@click.command()
@as_json
def migrate(as_json: bool) -> None:
    """Migrate the database and create the queue."""
    from daybook.cli.actions import admin  # noqa: PLC0415

    applied = run(admin.migrate)
    say(as_json, {"applied": applied}, f"applied: {', '.join(applied) or 'nothing was missing'}")


@click.command()
@click.argument("ledger", required=False)
@click.option("--ledger", "more", multiple=True, help="Another ledger that the token is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=SCOPES,
    show_default=True,
    help="What the token allows: read, write, reconcile, repair or admin.",
)
@click.option("--label", default="", help="Who uses the token.")
@click.option("--revoke", metavar="TOKEN", help="Revoke TOKEN instead of making one.")
@as_json
def token(
    ledger: str | None,
    more: tuple[str, ...],
    scopes: tuple[str, ...],
    label: str,
    revoke: str | None,
    as_json: bool,
) -> None:
    """Make a bearer token for LEDGER.

    The token is printed once; the database keeps only its digest.
    """
    from daybook.cli.actions import admin  # noqa: PLC0415

    ledgers = list(dict.fromkeys((ledger, *more) if ledger else more))
    if revoke is None:
        made = run(lambda settings: admin.token(settings, ledgers, scopes, label))
        say(as_json, {"token": made, "ledgers": ledgers, "scopes": list(scopes)}, made)
        return
    label = run(lambda settings: admin.revoke(settings, revoke, ledgers))
    say(as_json, {"revoked": True, "label": label}, f"revoked: {label}")


COMMANDS = (migrate, token)

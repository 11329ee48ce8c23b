"""`daybook seal-key`, `verify` and `seal-export`: keys, proofs and copies of the sealed log."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daybook.cli.invocation import as_json, run, run_without_settings, say, settings

if TYPE_CHECKING:
    from daybook.cli.actions.seals import CheckedReceipt
    from sealing.findings import Verdict


@click.command("seal-key")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="The log's name (its origin); the default is a random one.")
@as_json
def seal_key(file: Path, name: str | None, as_json: bool) -> None:
    """Make a signing key, and print its public half.

    The key is written to FILE; an existing FILE is kept. Others verify with the
    public half: give it to them, and keep a copy elsewhere.
    """
    from sealing import key_file  # noqa: PLC0415

    public = str(key_file.make(file, name))
    say(as_json, {"key": public, "file": str(file)}, public)


@click.command()
@click.option(
    "--receipt", type=click.Path(path_type=Path), help="Check this receipt; needs no server."
)
@click.option("--key", "keys", multiple=True, help="A public key to trust, or a file of keys.")
@click.option(
    "--checkpoints",
    multiple=True,
    help="A folder or s3://bucket/prefix with checkpoints to compare with.",
)
@as_json
def verify(
    receipt: Path | None, keys: tuple[str, ...], checkpoints: tuple[str, ...], as_json: bool
) -> None:
    """Prove that one receipt or the whole log is intact.

    Exit code 1: it is not.

    Without --key it trusts the key in DAYBOOK_SEAL_KEY_FILE; without --checkpoints it compares with
    those in DAYBOOK_SEAL_CHECKPOINTS.
    """
    import msgspec  # noqa: PLC0415

    from daybook.cli.actions import seals as action  # noqa: PLC0415

    found: CheckedReceipt | Verdict
    if receipt is not None:
        trusted = action.trusted(keys, os.environ.get("DAYBOOK_SEAL_KEY_FILE"))
        found = action.check_receipt(receipt, trusted)
        text = action.receipt_as_text(found)
    else:
        given = settings()
        trusted = action.trusted(keys, given.seal_key_file)
        found = run_without_settings(action.verify(given, trusted, checkpoints))
        text = action.verdict_as_text(found)
    say(as_json, msgspec.to_builtins(found) | {"intact": found.intact}, text)
    sys.exit(0 if found.intact else 1)


@click.command("seal-export")
@click.argument("folder", type=click.Path(path_type=Path))
@as_json
def seal_export(folder: Path, as_json: bool) -> None:
    """Write the sealed log as C2SP tlog-tiles.

    FOLDER then holds the events of every ledger.
    """
    from daybook.cli.actions import seals as action  # noqa: PLC0415

    done = run(lambda settings: action.export_to(settings, folder))
    say(as_json, done, f"{done.size:,} events in {done.files:,} files below {done.folder}")


COMMANDS = (seal_key, verify, seal_export)

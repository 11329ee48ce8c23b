"""`daybook verify` and `seal-export`: prove that the sealed log is intact, and copy it."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from auditing.roles import AUDITOR as AUDITOR_ROLE
from daybook.cli.actions.progress import progress
from daybook.settings import Settings
from runtime import database
from runtime.problems import Invalid
from sealing import export, key_file, receipts, signed_notes
from sealing.findings import Finding, Verdict
from sealing.receipts import ReceiptError
from sealing.signed_notes import Verifier
from sealing.verify import verify_log

SHOWN_MAX = 20


class CheckedReceipt(msgspec.Struct, frozen=True):
    """The result of checking a receipt."""

    transaction_id: str
    positions: list[int]
    findings: list[Finding]

    @property
    def intact(self) -> bool:
        """Whether the receipt is genuine."""
        return not self.findings


def trusted(keys: Sequence[str], file: str | None) -> list[Verifier]:
    """Return the keys to verify with: those in `keys` (text or files), or the sealer's own.

    Raises NoteError, Invalid.
    """
    if keys:
        texts = [Path(each).read_text("utf-8") if Path(each).is_file() else each for each in keys]
        return [signed_notes.verifier(line) for text in texts for line in text.split()]
    if file is None:
        raise Invalid(
            "seal_key_missing", "Name the key to verify with: --key NAME+ID+DATA or FILE."
        )
    return [each.verifier for each in key_file.signers(file)]


def check_receipt(file: Path, verifiers: Sequence[Verifier]) -> CheckedReceipt:
    """Check a receipt without a server. Raises ReceiptError."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ReceiptError(f"{file} cannot be read ({error.strerror})") from error
    receipt = receipts.read(text)
    return CheckedReceipt(
        str(receipt.transaction_id),
        [each.position for each in receipt.events],
        receipts.check(receipt, verifiers),
    )


async def verify(
    settings: Settings, verifiers: Sequence[Verifier], places: Sequence[str]
) -> Verdict:
    """Verify the whole log, with a progress bar. Raises Unavailable, NotFound."""
    if not places and settings.seal_checkpoints is not None:
        places = [settings.seal_checkpoints]
    connection = await database.connect(settings.database_url, AUDITOR_ROLE)
    try:
        with progress("verifying") as shown:
            return await verify_log(connection, verifiers, places, shown)
    finally:
        await connection.close()


async def export_to(settings: Settings, folder: Path) -> export.Exported:
    """Write the sealed log as static tiles. Raises Unavailable, NotFound, ExportError."""
    connection = await database.connect(settings.database_url, AUDITOR_ROLE)
    try:
        with progress("exporting") as shown:
            return await export.export(connection, folder, shown)
    finally:
        await connection.close()


def receipt_as_text(checked: CheckedReceipt) -> str:
    """Return the result of checking a receipt as text."""
    positions = ", ".join(f"{position:,}" for position in checked.positions)
    lines = [f"transaction {checked.transaction_id}, position {positions}"]
    lines += [f"  {found.kind}: {found.explanation}" for found in checked.findings]
    return "\n".join([*lines, "genuine" if checked.intact else "not genuine"])


def verdict_as_text(verdict: Verdict) -> str:
    """Return a verdict as text."""
    own, outside = verdict.checkpoints, verdict.checkpoints_off_the_box
    lines = [
        f"{verdict.events:,} events hashed again, {verdict.sealed:,} of them sealed",
        f"{verdict.tiles:,} tiles, {own:,} own checkpoints, {outside:,} from off the box compared",
    ]
    lines += [f"  {found.kind}: {found.explanation}" for found in verdict.findings[:SHOWN_MAX]]
    if verdict.finding_count > SHOWN_MAX:
        lines.append(f"  … and {verdict.finding_count - SHOWN_MAX:,} more (--json shows them)")
    if verdict.position is not None:
        lines.append(f"the first event that diverges: position {verdict.position:,}")
    return "\n".join(
        [*lines, "intact" if verdict.intact else f"{verdict.finding_count:,} findings"]
    )

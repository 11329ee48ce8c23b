"""`make bench`: Daybook against pgbench TPC-B, on one machine, in one run, with fsync on.

`run.py` says what is measured, in which order. Nothing is asserted: the figures are what they are.
"""

from pathlib import Path
from typing import Any

import click
import msgspec
import uvloop

from benchmarks import machine, run, table
from benchmarks.result import FULL, QUICK

AUDITED_TRANSFERS = 100_000
AUDITED_LONG = 1_000_000


@click.command()
@click.option("--quick", is_flag=True, help="About a minute; the figures are rough.")
@click.option("--audit", is_flag=True, help="Only what auditing costs, by the length of the log.")
@click.option(
    "--sizes",
    metavar="N,N",
    help=f"With --audit: transfers in each log [{AUDITED_TRANSFERS},{AUDITED_LONG}].",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write them here.")
def main(*, quick: bool, audit: bool, sizes: str | None, json_file: Path | None) -> None:
    """Measure Daybook against pgbench TPC-B on this machine."""
    if sizes and not (audit and all(size.isdecimal() for size in sizes.split(","))):
        raise click.UsageError("--sizes goes with --audit: whole numbers, separated by commas.")
    described, result = machine.described(), dict[str, Any]()
    if not audit:
        measured = QUICK if quick else FULL
        result |= {"sizes": measured, "rows": uvloop.run(run.measure(measured))}
        table.show_rows(result["rows"], described)
    if audit or not quick:
        lengths = [AUDITED_TRANSFERS, AUDITED_LONG] if audit and not quick else [AUDITED_TRANSFERS]
        if audit and sizes:
            lengths = [int(size) for size in sizes.split(",")]
        result["audit"] = uvloop.run(run.audit(lengths))
        table.show_audit(result["audit"], described)
    if json_file is not None:
        text = msgspec.json.encode({"machine": described} | result)
        json_file.write_bytes(msgspec.json.format(text, indent=2))


if __name__ == "__main__":
    main()

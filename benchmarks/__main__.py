"""`make bench`: Daybook on this machine, beside its peers, in one run, with fsync on.

`run.py` lists the measures in their order; docs/performance.md explains each figure. Nothing is
asserted.
"""

from pathlib import Path

import click
import msgspec
import uvloop

from benchmarks import run, table
from benchmarks.result import FULL, QUICK, Run

AUDITED_TRANSFERS = [100_000, 1_000_000]
PATH = click.Path(path_type=Path)
FOUND = click.Path(path_type=Path, exists=True, dir_okay=False)


def _lengths(_context: click.Context, _option: click.Parameter, text: str | None) -> list[int]:
    sizes = text.split(",") if text else []
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise click.BadParameter("give whole numbers above 0, separated by commas")
    return [int(size) for size in sizes]


@click.command()
@click.option("--quick", is_flag=True, help="Measure for about a minute; the figures are rough.")
@click.option(
    "--only",
    type=click.Choice(["audit", "length"]),
    help="Measure only what auditing costs, or the rate by the length of the log.",
)
@click.option(
    "--sizes", metavar="N,N", callback=_lengths, help="The lengths of the logs, in transfers."
)
@click.option(
    "--plots",
    type=PATH,
    help="Also measure by batch size, connections, accounts and processes; write plots here.",
)
@click.option(
    "--json", "json_file", type=PATH, help="Also write all results to this file, as JSON."
)
@click.option(
    "--pgledger",
    multiple=True,
    type=FOUND,
    help="Also measure pgledger: its SQL files in order (repeat the option).",
)
@click.option("--with", "wrk", metavar="WRK", help="Also use this wrk as a load generator.")
def main(
    *,
    quick: bool,
    only: str | None,
    sizes: list[int],
    plots: Path | None,
    json_file: Path | None,
    pgledger: tuple[Path, ...],
    wrk: str | None,
) -> None:
    """Measure Daybook and its peers on this machine."""
    chosen = QUICK if quick else FULL
    if only == "audit":
        sized = msgspec.structs.replace(chosen, audited_transfers=sizes or AUDITED_TRANSFERS)
    else:
        sized = msgspec.structs.replace(chosen, log_transfers=sizes or chosen.log_transfers)
    options = run.Options(sizes=sized, pgledger=pgledger, wrk=wrk, sweeps=plots is not None)
    measured = uvloop.run(_measured(options, only))
    table.show(measured)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=2))
    if plots is not None:
        from benchmarks.plots import draw  # noqa: PLC0415 - only plots need matplotlib

        draw(measured, plots)


async def _measured(options: run.Options, only: str | None) -> Run:
    measuring = await run.start(options)
    if only == "audit":
        return await measuring.audit()
    if only == "length":
        return await measuring.lengths()
    return await measuring.everything()


if __name__ == "__main__":
    main()

"""The cost of a million transfers on AWS, from the counts of a run and from list prices.

    python -m benchmarks.cost RUN.json [--price NAME=DOLLARS …] [--json]

The counts are the run's `usage`: SQS requests as AWS bills them, CPU seconds by process, bytes of
tables and indexes, commands and traffic of Valkey. A CPU second of this machine counts as one of a
vCPU. Not included, because no run can count it: load balancers, traffic between zones, backups,
logs, and the memory of an idle service, which is paid by the hour and not by the transfer.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import click
import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.result import Run
from benchmarks.usage import Usage

MILLION = 1_000_000
GIGABYTE = 1_000_000_000
KILOBYTE = 1_024
HOUR_S = 3_600
# These run as services of AWS; Fargate runs all other processes.
SERVERS = {"postgres", "valkey", "sqs"}
LOADS = {"singles": "a transfer a request", "batch-500": "500 a request"}


Dollars = Annotated[float, msgspec.Meta(ge=0)]


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in dollars; `prices.toml` explains each."""

    stated: str
    sqs_fifo_million_requests: Dollars
    fargate_vcpu_hour: Dollars
    fargate_gb_hour: Dollars
    rds_vcpu_hour: Dollars
    rds_gb_month: Dollars
    elasticache_million_ecpus: Dollars
    utilisation: Annotated[float, msgspec.Meta(gt=0, le=1)]
    kept_months: Annotated[float, msgspec.Meta(ge=0)]


class Item(msgspec.Struct, frozen=True):
    """A line of the bill for a million transfers: an amount in its unit, and its dollars."""

    name: str
    amount: float
    unit: str
    dollars: float


def bill(used: Usage, prices: Prices) -> list[Item]:
    """Return the bill for a million events of a load; each transfer is one event."""
    scale = MILLION / used.events
    billed = scale * used.sqs_total("billed")
    ours_h = scale / HOUR_S * sum(s for name, s in used.cpu_s.items() if name not in SERVERS)
    postgres_h = scale / HOUR_S * used.cpu_s["postgres"]
    ours_gb = sum(mb for name, mb in used.memory_mb.items() if name not in SERVERS) / 1_000
    # Each process keeps its memory for the duration of the load.
    memory_h = scale * ours_gb * used.seconds / HOUR_S
    traffic = used.cache["bytes in"] + used.cache["bytes out"]
    ecpus = scale * max(used.cache["commands"], traffic / KILOBYTE)
    stored_gb = scale * sum(used.relations.values()) / GIGABYTE
    busy = prices.utilisation
    return [
        Item(
            "SQS requests, as billed",
            billed,
            "requests",
            billed / MILLION * prices.sqs_fifo_million_requests,
        ),
        Item("API, relay, projector", ours_h, "vCPU h", ours_h / busy * prices.fargate_vcpu_hour),
        Item("  their memory", memory_h, "GB h", memory_h / busy * prices.fargate_gb_hour),
        Item("PostgreSQL", postgres_h, "vCPU h", postgres_h / busy * prices.rds_vcpu_hour),
        Item(
            f"  storage for {prices.kept_months:g} months",
            stored_gb,
            "GB",
            stored_gb * prices.kept_months * prices.rds_gb_month,
        ),
        Item("Valkey", ecpus, "ECPUs", ecpus / MILLION * prices.elasticache_million_ecpus),
    ]


def prices_of(overriding: Mapping[str, float | str]) -> Prices:
    """Return the prices of `prices.toml`, some replaced by the user. Raises ValidationError."""
    text = Path(__file__).with_name("prices.toml").read_text(encoding="utf-8")
    return msgspec.convert({**tomllib.loads(text), **overriding}, Prices, strict=False)


def _priced(_context: click.Context, _option: click.Parameter, options: tuple[str, ...]) -> Prices:
    overriding = dict(text.partition("=")[::2] for text in options)
    unknown = overriding.keys() - {field.name for field in msgspec.structs.fields(Prices)}
    if unknown:
        raise click.BadParameter(f"prices.toml has no price named {', '.join(sorted(unknown))}")
    try:
        return prices_of(overriding)
    except msgspec.ValidationError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("run_file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--price",
    "prices",
    multiple=True,
    callback=_priced,
    metavar="NAME=DOLLARS",
    help="Replace this price of prices.toml.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(run_file: Path, prices: Prices, *, as_json: bool) -> None:
    """Show what a million transfers cost on AWS, from the JSON of a run."""
    run = msgspec.json.decode(run_file.read_bytes(), type=Run)
    bills = {key: bill(run.usage[key], prices) for key in LOADS if key in run.usage}
    if not bills:
        raise click.UsageError(
            f"{run_file} holds no load. Write one with `make bench`, which passes `--json`."
        )
    if as_json:
        click.echo(msgspec.json.encode({"prices": prices, "bills": bills}).decode())
        return
    for key, items in bills.items():
        table = Table(title=f"A million transfers, {LOADS[key]}", caption=prices.stated)
        for column in ("", "amount", "", "dollars"):
            table.add_column(column, justify="right" if column else "left")
        for item in items:
            table.add_row(item.name, f"{item.amount:,.2f}", item.unit, f"{item.dollars:.3f}")
        table.add_section()
        table.add_row("together", "", "", f"{sum(item.dollars for item in items):.3f}")
        Console().print(table)


if __name__ == "__main__":
    main()

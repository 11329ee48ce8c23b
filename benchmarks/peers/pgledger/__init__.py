"""pgledger (github.com/pgr0ss/pgledger), whose SQL the user provides: it is not a package.

    singles, and arrays of 50 in one call, each between 10,000 accounts and between 2

Its accounts get short ids, so that the scripts need not look them up. This makes it faster.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import environment
from benchmarks.environment import Bench
from benchmarks.latency import Latency
from benchmarks.peers import pgbench
from benchmarks.result import Row, Sizes

DATABASE = "bench_pgledger"
HERE = Path(__file__).parent
ACCOUNTS = 10_000
ARRAY = 50


class Load(msgspec.Struct, frozen=True):
    """A script, the transfers in one call of it, and the number of accounts.

    `clients` is the number, of 2, 4 and 16, with which it is fastest.
    """

    key: str
    name: str
    script: str
    transfers: int
    accounts: int
    clients: int


SINGLES = Load("pgledger", "pgledger, a transfer a call", "single.pgbench", 1, ACCOUNTS, 16)
LOADS = (
    SINGLES,
    Load("pgledger-hot", "  between 2 accounts", "single.pgbench", 1, 2, 2),
    Load("pgledger-array", f"pgledger, {ARRAY} a call", "array.pgbench", ARRAY, ACCOUNTS, 16),
    Load("pgledger-array-hot", "  between 2 accounts", "array.pgbench", ARRAY, 2, 2),
)


async def prepare(bench: Bench, files: Sequence[Path]) -> None:
    """Run `files` in their order in a new database, and open accounts."""
    url = await environment.create_database(bench, DATABASE)
    scripts = [path.read_text(encoding="utf-8") for path in (*files, HERE / "accounts.sql")]
    await environment.execute(url, *scripts)


async def measure(bench: Bench, sizes: Sizes) -> list[Row]:
    """Return the row of each load."""
    rows = []
    for load in LOADS:
        figure, latency = await press(bench, load, sizes.peer_s, sizes.warm_up_s)
        note = f"{load.clients} clients; latency of a call"
        rows.append(Row(key=load.key, name=load.name, figure=figure, latency=latency, note=note))
    return rows


async def press(bench: Bench, load: Load, seconds: int, warm_up_s: int) -> tuple[float, Latency]:
    """Return transfers a second, and the latencies of a tenth of the calls."""
    tps, latency = await pgbench.press(
        bench.beside(DATABASE),
        *("-f", str(HERE / load.script), "-D", f"accounts={load.accounts}"),
        seconds=seconds,
        warm_up_s=warm_up_s,
        clients=load.clients,
    )
    return tps * load.transfers, latency


async def drop(bench: Bench) -> None:
    """Drop its database, so that no autovacuum of it disturbs later measures."""
    await environment.drop_database(bench, DATABASE)

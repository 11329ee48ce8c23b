"""pgledger (github.com/pgr0ss/pgledger), whose SQL the user brings: it is no package.

    singles, and arrays of 50 in one call, each between 10,000 accounts and between 2

Its accounts get short ids, so that the scripts can name them without looking them up: a favour.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks import service
from benchmarks.peers import pgbench
from benchmarks.result import Row, Sizes
from benchmarks.service import Bench

DATABASE = "bench_pgledger"
HERE = Path(__file__).parent
ACCOUNTS = 10_000
ARRAY = 50
# Key, name, script, transfers in a call, accounts, clients (what is fastest of 2, 4 and 16).
ROWS = (
    ("pgledger", "pgledger, a transfer a call", "single.pgbench", 1, ACCOUNTS, 16),
    ("pgledger-hot", "  between 2 accounts", "single.pgbench", 1, 2, 2),
    ("pgledger-array", f"pgledger, {ARRAY} a call", "array.pgbench", ARRAY, ACCOUNTS, 16),
    ("pgledger-array-hot", "  between 2 accounts", "array.pgbench", ARRAY, 2, 2),
)


async def measure(bench: Bench, files: Sequence[Path], sizes: Sizes) -> list[Row]:
    """Run `files` (its SQL, and first what that needs) in a new database, and press on it."""
    url = await service.create_database(bench, DATABASE)
    scripts = [path.read_text(encoding="utf-8") for path in (*files, HERE / "accounts.sql")]
    await service.execute(url, *scripts)
    rows = []
    for key, name, script, transfers, accounts, clients in ROWS:
        tps, latency = await pgbench.press(
            url,
            *("-f", str(HERE / script), "-D", f"accounts={accounts}"),
            seconds=sizes.peer_s,
            warm_up_s=sizes.warm_up_s,
            clients=clients,
        )
        note = f"{clients} clients; latency of a call"
        rows.append(Row(key=key, name=name, figure=tps * transfers, latency=latency, note=note))
    await service.drop_database(bench, DATABASE)
    return rows

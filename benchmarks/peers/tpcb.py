"""TPC-B of pgbench, in a database of its own on the same PostgreSQL."""

from benchmarks import environment
from benchmarks.environment import Bench
from benchmarks.latency import Latency
from benchmarks.peers import pgbench
from benchmarks.processes import run_program
from benchmarks.result import Row, Sizes

KEY = "tpcb"
DATABASE = "bench_tpcb"
SCALE = 10


async def prepare(bench: Bench) -> None:
    """Create the database and its tables."""
    url = await environment.create_database(bench, DATABASE)
    await run_program(environment.pgbench(), "-i", "-q", "-s", str(SCALE), url)


async def measure(bench: Bench, sizes: Sizes) -> Row:
    """Return transactions a second; the latencies are those of a tenth of them."""
    tps, latency = await press(bench, sizes.seconds, sizes.warm_up_s)
    return Row(key=KEY, name="pgbench TPC-B", figure=tps, latency=latency)


async def press(bench: Bench, seconds: int, warm_up_s: int) -> tuple[float, Latency]:
    """Run for `seconds` after a warm-up; return the same."""
    return await pgbench.press(bench.beside(DATABASE), seconds=seconds, warm_up_s=warm_up_s)

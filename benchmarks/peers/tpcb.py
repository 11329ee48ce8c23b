"""pgbench's TPC-B: the same PostgreSQL, the same settings, a database of its own."""

from benchmarks import service
from benchmarks.children import output
from benchmarks.latency import Latency
from benchmarks.peers import pgbench
from benchmarks.result import Row, Sizes
from benchmarks.service import Bench

KEY = "tpcb"
DATABASE = "bench_tpcb"
SCALE = 10


async def prepare(bench: Bench) -> None:
    """Create the database and its tables."""
    url = await service.create_database(bench, DATABASE)
    await output(service.pgbench(), "-i", "-q", "-s", str(SCALE), url)


async def measure(bench: Bench, sizes: Sizes) -> Row:
    """Return transactions a second; the latencies are those of a tenth of them."""
    tps, latency = await press(bench, sizes.seconds, sizes.warm_up_s)
    return Row(key=KEY, name="pgbench TPC-B", figure=tps, latency=latency)


async def press(bench: Bench, seconds: int, warm_up_s: int) -> tuple[float, Latency]:
    """Press for so long; return the same."""
    return await pgbench.press(bench.beside(DATABASE), seconds=seconds, warm_up_s=warm_up_s)

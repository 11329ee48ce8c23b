"""HTTP alone: the same requests over as many connections, and an answer that is always the same."""

from benchmarks import children
from benchmarks.loads.singles import Asked
from benchmarks.loads.tally import Outcome
from benchmarks.measures.singles import ACCOUNTS, CONNECTIONS, LOAD
from benchmarks.stages.limits.clock import Spent, spending
from daybook.embedded import servers
from daybook.embedded.up import DEMO_TOKEN

EMPTY = "benchmarks.stages.limits.empty"


async def server_us(name: str, seconds: int) -> float:
    """Return the server's CPU for each request: of `uvicorn` alone, or `routed`."""
    port = servers.free_port()
    asked = Asked(
        targets=[f"http://{servers.LOOPBACK}:{port}"],
        token=DEMO_TOKEN,
        prefix="empty",
        connections=CONNECTIONS,
        seconds=seconds,
        warm_up_s=0,
        accounts=ACCOUNTS,
    )
    spent = Spent()
    async with children.ready(EMPTY, name, str(port)) as server:
        with spending(spent, server.pid):
            outcome = await children.told(LOAD, asked, Outcome)
    assert outcome.accepted, f"{name} answered: {outcome.failures}"
    return spent.other_us(outcome.accepted)

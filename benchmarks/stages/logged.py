"""What statements take of PostgreSQL's CPU: as the server itself counts it, in its log.

`log_statement_stats` writes what the kernel charged the backend for each message of each statement.
That is CPU without waiting, which pg_stat_statements cannot tell: its times count a COPY that waits
for its client, a commit that waits for the disk, and everybody who waits for a core.
"""

import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks import service
from benchmarks.service import SQL, Bench
from benchmarks.stages.statements import stage_of

_MARK = "stages|"
# The role is the session's application name; what is continued begins with a tab.
_RECORD = re.compile(
    r"^stages\|(?P<role>[^|\n]*)\|LOG: .*\n"
    r"stages\|.*\|DETAIL: .*\n"
    r"\t!\t(?P<user>[\d.]+) s user, (?P<system>[\d.]+) s system,.*\n"
    r"(?:\t!.*\n)*"
    r"stages\|.*\|STATEMENT: (?P<text>.*\n(?:\t.*\n)*)",
    re.MULTILINE,
)

Taken = dict[str, float]


@asynccontextmanager
async def watching(bench: Bench) -> AsyncIterator[Taken]:
    """Let the server log while the context is open; afterwards there are CPU seconds by stage."""
    taken: Taken = {}
    log = bench.service.data / "logs" / "postgres.log"
    url = bench.service.database_url
    begin = log.stat().st_size
    await service.execute(
        url,
        f"ALTER SYSTEM SET log_line_prefix = '{_MARK}%a|'",
        "ALTER SYSTEM SET log_statement_stats = on",
        SQL["reload"],
    )
    try:
        yield taken
    finally:
        await service.execute(
            url,
            "ALTER SYSTEM RESET log_statement_stats",
            "ALTER SYSTEM RESET log_line_prefix",
            SQL["reload"],
        )
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(begin)
        taken |= counted(file.read())


def counted(text: str) -> Taken:
    """Return the CPU seconds of each stage, from the server's log."""
    found: defaultdict[str, float] = defaultdict(float)
    for record in _RECORD.finditer(text):
        cpu_s = float(record["user"]) + float(record["system"])
        found[stage_of(record["role"], record["text"])] += cpu_s
    return dict(found)

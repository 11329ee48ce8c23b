"""What belongs to which stage of a transfer, and what the budgets add up to."""

import ast
import importlib.util
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from benchmarks.result import QUICK, Row, Run
from benchmarks.spent import Usage
from benchmarks.stages import limits, logged, spied, statements
from benchmarks.stages.budget import REST, Budget, Loaded, Watched, budget
from benchmarks.stages.limits import Limit
from benchmarks.stages.places import PLACES, stage_of
from benchmarks.stages.shown import PROCESSES, conclusions
from benchmarks.stages.spied import UNNAMED
from benchmarks.stages.written import markdown
from runtime.sql import queries

NAMED = [
    (process, place)
    for process, stages in PLACES.items()
    for places in stages.values()
    for place in places
]
LOGGED = """\
LOG:  what came before has another prefix
stages|daybook_writer|LOG:  BIND MESSAGE STATISTICS
stages|daybook_writer|DETAIL:  ! system usage stats:
\t!\t0.000010 s user, 0.000005 s system, 0.000900 s elapsed
\t!\t[0.303953 s user, 0.049693 s system total]
stages|daybook_writer|STATEMENT:  -- The one lock of an append.
\tSELECT position, last_recorded_at, accounts_stored, mended FROM events.head FOR UPDATE
stages|daybook_writer|LOG:  EXECUTE MESSAGE STATISTICS
stages|daybook_writer|DETAIL:  ! system usage stats:
\t!\t0.000020 s user, 0.000000 s system, 0.000020 s elapsed
stages|daybook_writer|STATEMENT:  SELECT position, last_recorded_at, accounts_stored, mended
\tFROM events.head FOR UPDATE
stages||LOG:  checkpoint starting: time
stages|daybook_projector|LOG:  QUERY STATISTICS
stages|daybook_projector|DETAIL:  ! system usage stats:
\t!\t0.001000 s user, 0.000500 s system, 0.002000 s elapsed
stages|daybook_projector|STATEMENT:  COPY "read"."entries"("ledger", "line") FROM STDIN
stages|daybook|LOG:  QUERY STATISTICS
stages|daybook|DETAIL:  ! system usage stats:
\t!\t0.000100 s user, 0.000000 s system, 0.000100 s elapsed
stages|daybook|STATEMENT:  SELECT 1
"""


@pytest.mark.parametrize(
    "process, stack, stage",
    [
        ("api", "main (daybook/__main__.py:9);Runner.run (asyncio/runners.py:118)", "HTTP: event"),
        ("api", "Runner.run (asyncio/runners.py:118);encode (events/codec.py:43)", "encode"),
        (
            "api",
            "append (events/log.py:72);Connection.execute (asyncpg/connection.py:1)",
            "insert",
        ),
        ("api", "append (events/log.py:72);append.<locals>.<listcomp> (events/log.py:7)", "insert"),
        ("api", "append (events/log.py:72);encode (events/codec.py:43)", "encode"),
        ("api", "find (events/log.py:60);decode (events/codec.py:60)", "reading state"),
        ("api", ("submit (command_side/api/routes.py:5);"
         "movement (command_side/api/movement_requests.py:9)"),
         "body to command"),
        ("api", "handle (litestar/routes/http.py:81);submit (command_side/api/routes.py:60)",
         "routes"),
        ("api", ("submit (command_side/api/routes.py:60);"
         "get (litestar/datastructures/headers.py:6)"),
         "routing"),
        ("api", ("claim (command_side/writer/idempotency.py:70);"
         "send (redis/asyncio/connection.py:5)"),
         "idempotency"),
        ("relay", "_publish (command_side/relay.py:66);pack (events/envelope.py:61)", "envelopes"),
        ("relay", "_publish (command_side/relay.py:67);dumps (json/__init__.py:231)", "checkpoint"),
        ("project", "_apply_page (projections/catch_up.py:71)", "fold"),
        ("project", "_apply_page (projections/catch_up.py:80);_write (projections/catch_up.py:9)",
         "writing read models"),
    ],
)  # fmt: skip
def test_the_innermost_frame_that_is_named_says_the_stage(
    process: str, stack: str, stage: str
) -> None:
    """What a library does belongs to its caller, unless the library is a stage itself."""
    found = stage_of(process, stack.split(";"))
    assert found is not None
    assert found.startswith(stage)


@pytest.mark.parametrize("stack", ["dumps (json/__init__.py:231)", "torn", "(:)", ""])
def test_a_stack_of_unknown_frames_has_no_stage(stack: str) -> None:
    """It is shown as such."""
    assert stage_of("api", stack.split(";")) is None


@pytest.mark.parametrize("process, place", NAMED)
def test_every_named_place_is_in_the_code(process: str, place: str) -> None:
    """A function that is renamed, or a file that is moved, has to be renamed here too."""
    assert is_there(place), f"{process}: {place}"


@pytest.mark.parametrize(
    "place",
    ["events/log.py:gone", "events/gone.py", "events/gone/", "Writer.gone", "asyncpg/gone.py:x"],
)
def test_a_place_that_is_gone_is_found_missing(place: str) -> None:
    """The test above can fail."""
    assert not is_there(place)


def test_a_place_belongs_to_one_stage_of_a_process() -> None:
    """Otherwise the last one would take it silently."""
    assert [named for named, count in Counter(NAMED).items() if count > 1] == []


def is_there(place: str) -> bool:
    """Return whether a folder, a file, or a function in it exists where imports find it."""
    file, _, function = place.partition(":")
    package, _, _ = file.partition("/")
    spec = importlib.util.find_spec(package.removesuffix(".py")) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        return False
    path = Path(next(iter(spec.submodule_search_locations))).parent / file
    if file.endswith("/"):
        return path.is_dir()
    if not path.is_file():
        return False
    return not function or function in functions(ast.parse(path.read_text(encoding="utf-8")))


def functions(node: ast.AST, within: str = "") -> Iterator[str]:
    """Yield the qualified names of all functions, also of classes."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield within + name
            case ast.ClassDef(name=name):
                yield from functions(child, f"{within}{name}.")
            case _:
                pass


def test_a_statement_is_recognised_as_the_server_shows_it() -> None:
    """Parameters for constants, comments or none, and COPY as asyncpg writes it."""
    shown = """SELECT notification_id, originator_id, originator_version, topic, state
    FROM events.daybook_events
    WHERE originator_id = ANY($1::uuid[]) AND originator_version = $2"""
    for text in (shown, queries("events")["find"]):
        assert statements.stage_of("daybook_writer", text) == "append: head and known events"
    moments = """INSERT INTO read.moments (recorded_at, position)
    SELECT recorded_at, position FROM json_populate_recordset($2::read.moments, $1::json)
    ON CONFLICT ON CONSTRAINT moments_pkey DO UPDATE SET position = excluded.position"""
    assert statements.stage_of("daybook_projector", moments).startswith("projector: moments")
    copy = """COPY "read"."entries"("ledger", "line") FROM STDIN (FORMAT 'csv', NULL 'null')"""
    assert statements.stage_of("daybook_projector", copy) == "projector: entries"
    assert statements.stage_of("daybook_writer", "COMMIT;") == "append: commit"


def test_a_statement_of_somebody_else_is_another_one() -> None:
    """The same text from another role, and what nobody knows."""
    assert statements.stage_of("postgres", queries("events")["find"]) == statements.OTHER
    assert statements.stage_of("daybook_writer", "SELECT 1") == statements.OTHER


def test_no_statement_is_of_two_stages() -> None:
    """Of one role, when constants are left out."""
    for stages in statements.STATEMENTS.values():
        texts = [statements.plain(text) for texts in stages.values() for text in texts]
        assert len(texts) == len(set(texts))


def test_the_servers_log_is_read_record_by_record() -> None:
    """What a statement's messages took is added up; user and system, and no waiting."""
    assert logged.counted(LOGGED) == pytest.approx(
        {
            "append: head and known events": 0.000_035,
            "projector: entries": 0.001_5,
            statements.OTHER: 0.000_1,
        }
    )


def test_samples_are_counted_by_stage() -> None:
    """Names of functions may have spaces; what is not named is kept."""
    raw = (
        "f (<string>:1);encode (events/codec.py:43) 3\nf (<string>:1) 2\nfind (events/log.py:6) 1\n"
    )
    assert spied.counted("api", raw) == {"encode": 3, UNNAMED: 2, "reading state": 1}


def measured(*, wal: dict[str, int] | None) -> Budget:
    """Return the budget of 1,000 transfers; while statements were logged, all took twice that."""
    used = Usage(
        seconds=1.0,
        events=1_000,
        wal_bytes=900_000,
        relations={},
        cpu_s={"api": 0.1, "relay": 0.01, "project": 0.02, "postgres": 0.04, "valkey": 0.005}
        | {"sqs": 0.006},
        memory_mb={},
        sqs={"SendMessage": {"bytes": 440_000.0}},
        cache={"bytes in": 300_000.0},
    )
    loaded = Loaded(title="load", per_second=1_000.0, used=used, wal_bytes=wal, generator_us=20.0)
    watched = Watched(
        samples={
            "api": Counter({"decide": 60, "encode": 30, UNNAMED: 10}),
            "relay": Counter({"SQS client": 5}),
            "project": Counter({"fold": 4}),
        },
        logged=msgspec.structs.replace(used, events=500),
        postgres_s={"append: insert": 0.010, statements.OTHER: 0.002},
    )
    return budget(loaded, watched, {("api", "decide"): 12.0, ("postgres", "append: insert"): 8.0})


def test_the_stages_add_up_to_the_cpu_of_all_processes() -> None:
    """Every microsecond is in one line."""
    seen = measured(wal={"append: insert": 500_000})
    of = {(stage.process, stage.name): stage for stage in seen.stages}
    assert seen.total_us == pytest.approx(181.0)
    assert of["api", "decide"].us == pytest.approx(60.0)
    assert of["api", "auth"].us == 0.0
    assert of["postgres", "append: insert"].us == pytest.approx(10.0)
    assert of["postgres", REST].us == pytest.approx(28.0)
    assert of["postgres", "append: insert"].bytes == pytest.approx(500.0)
    assert of["postgres", REST].bytes == pytest.approx(400.0)
    assert of["relay", "SQS client"].bytes == pytest.approx(440.0)
    assert of["valkey", "all of it"].bytes == pytest.approx(300.0)
    assert seen.unnamed_us == pytest.approx(12.0)


def test_a_limit_stands_for_what_was_measured() -> None:
    """Where there is none, what was measured stays; or nothing does."""
    seen = measured(wal={})
    assert seen.limits_us == pytest.approx(20.0)
    assert seen.least_us == pytest.approx(181.0 - 48.0 - 2.0)


def test_what_it_comes_to_is_said_in_rates_beside_tpcb() -> None:
    """Of all cores; and that there are no bytes, if the server does not count them."""
    said = "\n".join(conclusions(measured(wal={}), 5_000.0, 2))
    assert "All processes take 181.0 µs, 11,050/s, 2.21 × TPC-B on 2 cores." in said
    assert "The limits alone are 20.0 µs, 100,000/s, 20.00 × TPC-B on 2 cores." in said
    assert "Of no known stage are 12.0 µs, 6.6%." in said
    assert "pg_stat_statements" not in said
    assert "pg_stat_statements" in conclusions(measured(wal=None), 5_000.0, 2)[-1]


def test_a_limit_of_single_requests_is_none_of_batches() -> None:
    """A batch pays for its request once."""
    asked = [
        Limit(name="http", us=30.0, stages=[("api", "routing")], batched=False),
        Limit(name="decide", us=8.0, stages=[("api", "decide")]),
    ]
    assert limits.of_load(asked, batched=False) == {("api", "routing"): 30, ("api", "decide"): 8}
    assert limits.of_load(asked, batched=True) == {("api", "decide"): 8}


def test_every_limit_is_of_a_stage_that_exists() -> None:
    """By name, as it is written where limits are measured."""
    source = Path(limits.__file__).with_name("measuring.py").read_text(encoding="utf-8")
    named = {
        (process.value, name.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Tuple) and len(node.elts) == 2
        for process, name in [node.elts]
        if isinstance(process, ast.Constant) and process.value in PROCESSES
        if isinstance(name, ast.Constant)
    }
    known = {(stage.process, stage.name) for stage in measured(wal=None).stages}
    assert len(named) > 10
    assert named - known == set()


def test_the_tables_are_written_for_the_documentation() -> None:
    """Both loads beside each other, a line a stage; and the limits that are of none."""
    seen = measured(wal={"append: insert": 500_000})
    run = Run(
        machine={},
        started_at=datetime(2026, 11, 27, tzinfo=UTC),
        seconds=1.0,
        sizes=QUICK,
        rows=[Row(key="tpcb", name="pgbench TPC-B", figure=5_000.0)],
        budgets=[seen, seen],
        limits=[Limit(name="singly", us=130.0), Limit(name="x", us=1.0, stages=[("api", "auth")])],
    )
    lines = markdown(run, 2).splitlines()
    assert "| **API** | | **100.0** | | | **100.0** | | |" in lines
    assert "| decide | 12.0 | 60.0 | 5.0 |  | 60.0 | 5.0 |  |" in lines
    assert "| append: insert | 8.0 | 10.0 | 1.2 | 500 | 10.0 | 1.2 | 500 |" in lines
    assert "| **together** | | **181.0** | | | **181.0** | | |" in lines
    assert "| singly | 130.0 |" in lines
    assert len({line.count("|") for line in lines if line.startswith("| ")} - {3}) == 1

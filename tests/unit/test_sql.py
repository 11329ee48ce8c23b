"""Every named query has a caller in its own room, every caller a query, and each says why."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import sql

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [folder for depth in ("*/sql", "*/*/sql") for folder in ROOT.glob(depth)]
ROOMS = sorted(
    str(folder.parent.relative_to(ROOT)) for folder in FOLDERS if ".venv" not in folder.parts
)
FILES = sorted(path for room in ROOMS for path in (ROOT / room / "sql").glob("*.sql"))


def modules(room: str) -> list[Path]:
    """Return the modules of a room, without those of a room inside it."""
    inner = [ROOT / other for other in ROOMS if other.startswith(f"{room}/")]
    return [
        path
        for path in sorted((ROOT / room).rglob("*.py"))
        if not any(path.is_relative_to(folder) for folder in inner)
    ]


def referenced(room: str) -> Iterator[str]:
    """Yield the query names in `SQL["name"]` and `read(pool, "name", …)` of a room's modules."""
    for path in modules(room):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Subscript(value=ast.Name(id="SQL"), slice=ast.Constant(value=str(name))):
                    yield name
                case ast.Call(
                    func=ast.Name(id="read") | ast.Attribute(attr="read"),
                    args=[_, ast.Constant(value=str(name)), *_],
                ):
                    yield name
                case _:
                    pass


def named_by_variable(room: str) -> Iterator[str]:
    """Yield the strings of a room of which a module takes a query by a variable, `SQL[name]`."""
    nodes = [
        node
        for path in modules(room)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]
    if any(
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == "SQL"
        and not isinstance(node.slice, ast.Constant)
        for node in nodes
    ):
        yield from (
            node.value
            for node in nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )


def test_there_are_queries_in_every_room_with_a_database() -> None:
    """The tests below have something to look at."""
    assert {
        *("auditing", "bank_statements", "benchmarks", "command_side"),
        *("command_side/writer", "daybook/migrations", "events"),
        *("projections", "query_side", "sealing", "web"),
    } == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_every_query_has_a_caller_and_every_caller_a_query(room: str) -> None:
    """Nothing is left over, and nothing is missing until it is called."""
    queries, named = set(sql.queries(room)), set(referenced(room))
    assert named - queries == set()
    assert queries - named - set(named_by_variable(room)) == set()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_asks_only_its_own_queries(room: str) -> None:
    """`SQL` is always the room's."""
    for path in modules(room):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="queries"), args=[ast.Constant(value=named)]):
                    assert named == room, path
                case _:
                    pass


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.parent.name}/{path.name}")
def test_every_query_says_why_it_is_written_so(path: Path) -> None:
    """A comment follows each name, and nothing stands before the first one."""
    head, *parts = re.split(r"^-- name: .*$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert head.strip() == ""
    assert parts
    assert all(re.match(r"\n-- \S", part) for part in parts)


def test_no_sql_stands_in_python() -> None:
    """But for the health checks' SELECT 1 and what a server needs before it has our schema."""
    pattern = re.compile(r"\b(SELECT\s+(?!1\b)|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM)")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for room in ROOMS
        for path in modules(room)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and pattern.search(node.value)
    ]
    assert found == []


def test_a_name_given_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Across the files of one room."""
    folder = tmp_path / "room" / "sql"
    folder.mkdir(parents=True)
    (folder / "a.sql").write_text("-- name: one\n-- Why.\nSELECT 1;\n")
    (folder / "b.sql").write_text("-- name: two\nSELECT 2;\n\n-- name: three\nSELECT ';' || 3;\n")
    monkeypatch.setattr(sql, "ROOT", tmp_path)
    sql.queries.cache_clear()
    try:
        assert sql.queries("room") == {
            "one": "-- Why.\nSELECT 1",
            "two": "SELECT 2",
            "three": "SELECT ';' || 3",
        }
        (folder / "b.sql").write_text("-- name: one\nSELECT 2;\n")
        sql.queries.cache_clear()
        with pytest.raises(ValueError, match=r"b\.sql: the query name 'one' is taken already"):
            sql.queries("room")
    finally:
        sql.queries.cache_clear()

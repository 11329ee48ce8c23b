"""Rebuild: the same log gives the same bytes, and the swap is felt by nobody."""

# ruff: noqa: S608 - faults are made by SQL that is put together from constants

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from command_side.commands import Command
from command_side.writer import ROLE as WRITER_ROLE
from daybook import audit
from events import checkpoints, log
from projections.catch_up import catch_up
from projections.rebuilding import load as loading
from projections.rebuilding import rebuild as rebuilds
from projections.rebuilding import swap as swapping
from projections.rebuilding import tables
from projections.rebuilding.rebuild import Rebuilt, rebuild
from projections.repairing.survey import COMMAND_SIDE, VIEWS
from projections.worker import ROLE as PROJECTOR_ROLE
from runtime import database
from runtime.problems import Conflict, Problem, Rejected, Unavailable
from tests.integration import given

# Nothing that CSV, JSON or COPY could take for something else may come back otherwise.
AWKWARD = [
    'a "quote", a comma, and a \\ backslash',
    "\\",
    '\\"',
    "\\.",
    "null",
    "\\N",
    "],[",
    "two\nlines\r\nof\ttext",
    "\\n is no new line",
    "\x01\x08\x0c\x1f",
    "Grüße, 東京 🎉",
    " ",
]
CATALOGUE = """
SELECT c.relname, c.relkind, c.reloptions::text, c.relacl::text, c.relpersistence::text,
    pg_get_indexdef(c.oid) AS index,
    (
        SELECT array_agg(row(k.conname, k.contype, pg_get_constraintdef(k.oid))::text ORDER BY k.conname)
        FROM pg_constraint AS k WHERE k.conrelid = c.oid
    ) AS constraints,
    (
        SELECT array_agg(row(a.attname, a.attnotnull, a.atttypid)::text ORDER BY a.attnum)
        FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0
    ) AS columns
FROM pg_class AS c
WHERE c.relnamespace = 'read'::regnamespace AND c.relkind IN ('r', 'i')
ORDER BY c.relname
"""


def _silent(_phase: str, _done: int, _total: int) -> None:
    """Show no progress."""


async def _rebuilt(database_url: str, **options: Any) -> Rebuilt:
    return await rebuild(database_url, rebuilt_by="a test", progress=_silent, **options)


def awkward_commands() -> list[Command]:
    """Return transfers whose texts are hard to transport."""
    return [
        given.transfer(
            f"awkward {number}", description=text, reference=None, metadata={"note": text}
        )
        for number, text in enumerate(AWKWARD)
    ]


async def _rich(database_url: str) -> int:
    await given.rich_log(database_url, count=20)
    await given.written(database_url, awkward_commands())
    await given.project(database_url)
    return len(await given.whole_log(database_url))


@pytest.mark.parametrize("page", [1, 7, 5_000])
async def test_the_rebuilt_tables_are_the_live_ones_byte_by_byte(
    database_url: str, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, columns, constraints, indexes, storage options and rights: all as before."""
    monkeypatch.setattr(log, "PAGE_EVENTS_MAX", page)
    monkeypatch.setattr(loading, "PAGE_EVENTS_MAX", page)
    length = await _rich(database_url)
    before = await given.read_models(database_url)
    async with given.connected(database_url) as owner:
        catalogue = await owner.fetch(CATALOGUE)
        ids = await owner.fetch("SELECT oid FROM pg_class WHERE relname = 'entries'")
        built = await _rebuilt(database_url)
        assert (built.differing, built.position, built.swapped) == (0, length, True)
        assert await given.read_models(database_url) == before
        assert await owner.fetch(CATALOGUE) == catalogue
        assert await owner.fetch("SELECT oid FROM pg_class WHERE relname = 'entries'") != ids
        row = await owner.fetchrow("SELECT * FROM read.rebuilds")
        counted = sum([await owner.fetchval(f"SELECT count(*) FROM {n}") for n in tables.NAMES])
    assert row is not None
    assert (row["rebuilt_by"], row["position"], row["differing"]) == ("a test", length, 0)
    assert row["row_count"] == built.row_count == counted


def test_all_views_of_the_read_side_are_rebuilt() -> None:
    """A further table in `audited.py` is a further table here."""
    assert set(tables.NAMES) == set(VIEWS) - COMMAND_SIDE

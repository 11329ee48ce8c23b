"""Remembered rows are valid until another process moves the row that guards them."""

import pytest

from projections import memory
from projections.memory import Memory

ALICE, BOB = ("demo", "alice"), ("demo", "bob")


def test_what_was_kept_is_known_as_of_its_mark_only() -> None:
    """With the mark of another process, or none, all rows are read again."""
    kept = Memory[int]()
    kept.keep(7, {ALICE: 1})
    assert kept.lend(7) == {ALICE: 1}
    kept.keep(8, {BOB: 2})
    assert kept.lend(8) == {ALICE: 1, BOB: 2}
    kept.keep(9, {BOB: 3})
    assert kept.lend(10) == {}


def test_nothing_is_known_until_what_was_lent_is_kept() -> None:
    """A transaction that failed may have changed the rows."""
    kept = Memory[int]()
    kept.keep(7, {ALICE: 1})
    lent = kept.lend(7)
    lent[ALICE] = 2
    assert kept.lend(7) == {}
    kept.keep(8, lent)
    assert kept.lend(8) == {ALICE: 2}


def test_a_memory_that_grew_too_big_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound it is whole; beyond it, empty."""
    monkeypatch.setattr(memory, "ROWS_MAX", 1)
    kept = Memory[int]()
    kept.keep(7, {ALICE: 1})
    assert kept.lend(7) == {ALICE: 1}
    kept.keep(8, {BOB: 2})
    assert kept.lend(8) == {}

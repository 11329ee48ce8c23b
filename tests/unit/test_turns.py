"""Requests are begun a few a turn of the loop: a tenant's in order, and the tenants in turn."""

import asyncio

import pytest

from runtime import connection
from runtime.connection import Turns


class Begun:
    """What was begun, and what has been begun at the end of each turn of the loop."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.names: list[str] = []

    def ask(self, tenant: str, count: int) -> None:
        """Let `count` requests of `tenant` be begun."""
        for number in range(count):
            name = f"{tenant}{number}"
            self.turns.begin(tenant, lambda name=name: self.names.append(name))  # type: ignore[misc]

    async def after_turns(self, count: int) -> list[str]:
        """Return what has been begun `count` turns later."""
        for _ in range(count):
            await asyncio.sleep(0)
        return self.names


@pytest.fixture(autouse=True)
def two_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin two requests a turn."""
    monkeypatch.setattr(connection, "BEGUN_A_TURN", 2)


async def test_what_has_room_is_begun_at_once() -> None:
    """Who comes alone waits for no turn."""
    begun = Begun()
    begun.ask("a", 2)
    assert begun.names == ["a0", "a1"]
    await begun.after_turns(1)
    begun.ask("b", 1)
    assert begun.names == ["a0", "a1", "b0"]


async def test_a_flood_leaves_turns_to_others() -> None:
    """A tenant that comes later is in the next turn, and then in every one."""
    begun = Begun()
    begun.ask("a", 8)
    begun.ask("b", 3)
    assert (begun.turns.waiting("a"), begun.turns.waiting("b")) == (6, 3)
    assert (await begun.after_turns(1))[2:] == ["a2", "b0"]
    assert (await begun.after_turns(1))[4:] == ["a3", "b1"]
    assert (await begun.after_turns(1))[6:] == ["a4", "b2"]
    assert (await begun.after_turns(2))[8:] == ["a5", "a6", "a7"]
    assert (begun.turns.waiting("a"), begun.turns.waiting("b")) == (0, 0)


async def test_nobody_overtakes_who_waits() -> None:
    """What comes in a turn that has room again stands behind the others of its tenant."""
    begun = Begun()
    begun.ask("a", 5)
    for _ in range(4):
        await begun.after_turns(1)
    assert begun.names == [f"a{n}" for n in range(5)]
    begun.ask("b", 3)
    await begun.after_turns(1)
    begun.turns.begin("b", lambda: begun.names.append("last"))
    assert (await begun.after_turns(3))[5:] == ["b0", "b1", "b2", "last"]

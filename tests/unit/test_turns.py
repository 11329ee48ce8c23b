"""A turn of the loop reads a little and begins less: a tenant's in order, the tenants in turn."""

import asyncio
from typing import cast

import pytest

from runtime import connection
from runtime.connection import Connection, Turns


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


class Heard:
    """As much of a connection, and of its transport, as turns know of."""

    def __init__(self, turns: Turns) -> None:
        self.unread = 0
        self.transport = self
        self.paused = False
        self.data: list[bytes] = []
        self._turns = turns

    def receive(self, *data: bytes) -> None:
        """Receive pieces of data, one after the other."""
        for each in data:
            self._turns.receive(cast("Connection", self), each)

    def read(self, data: bytes) -> None:
        """Read one."""
        self.data.append(data)

    def pause_reading(self) -> None:
        """Receive no more."""
        self.paused = True

    def resume_reading(self) -> None:
        """Receive more."""
        self.paused = False

    def is_closing(self) -> bool:
        """Stay open."""
        return False


@pytest.fixture(autouse=True)
def two_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin two requests a turn, and read three times."""
    monkeypatch.setattr(connection, "BEGUN_A_TURN", 2)
    monkeypatch.setattr(connection, "READ_A_TURN", 3)


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


async def test_a_turn_reads_a_bounded_number_of_times() -> None:
    """In the order in which it was received, whoever received it."""
    turns = Turns()
    one, other = Heard(turns), Heard(turns)
    one.receive(b"1", b"2")
    other.receive(b"3", b"4")
    one.receive(b"5")
    assert (one.data, other.data) == ([b"1", b"2"], [b"3"])
    await asyncio.sleep(0)
    other.receive(b"6", b"7")
    assert (one.data, other.data) == ([b"1", b"2", b"5"], [b"3", b"4", b"6"])
    await asyncio.sleep(0)
    assert other.data == [b"3", b"4", b"6", b"7"]


async def test_a_connection_that_is_not_read_keeps_little() -> None:
    """It is paused at its second piece that waits, and goes on when that is the only one."""
    turns = Turns()
    flood, slow = Heard(turns), Heard(turns)
    flood.receive(b"1", b"2", b"3")
    paused = []
    for piece in (b"a", b"b"):
        slow.receive(piece)
        paused.append(slow.paused)
    for _ in range(3):
        await asyncio.sleep(0)
        paused.append(slow.paused)
    assert slow.data == [b"a", b"b"]
    assert paused == [False, True, False, False, False]

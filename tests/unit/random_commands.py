"""Random commands: mostly ones that could be accepted, often ones that could not.

Every choice comes from the `random.Random` that is given: a seeded one, so that a run can be
repeated, or that of Hypothesis, which records its choices and shrinks them. Nothing here knows a
rule or the outcome of a command: an id or an amount is taken from an earlier command.
"""

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import msgspec

from command_side.domain.commands import (
    Atomic,
    Cancel,
    Capture,
    ChangeAccount,
    CloseBooks,
    Command,
    Condition,
    FollowUp,
    Hold,
    Keyed,
    Movement,
    OpenAccount,
    Part,
    Refund,
    Schedule,
    Settle,
    Transfer,
    Void,
)
from events.types import Metadata, Posting, Rate, Status, transaction_id
from tests.unit.examples import NOON
from tests.unit.in_memory_writer import Hour

Item = TypeVar("Item")

LEDGERS = ("main", "main", "main", "other")
NEVER = NOON + timedelta(days=10**5)
CLIENTS = ("ann", "ben", "cy")
DOLLARS = (
    *("customer:1", "customer:1", "customer:2", "customer:2", "customer:3"),
    *("line:1", "world", "asset:1", "customer:4", "capped:1"),
)
PASSED_THROUGH = ("customer:5", "customer:6")
EUROS = ("customer:eur", "customer:euro", "exchange:EUR")
ANYBODY = (*DOLLARS, *EUROS, "listed:1", "listed:1", "nobody", "customer:yen")
CURRENCIES = ("USD", "USD", "EUR", "JPY")
AMOUNTS = (1, 100, 250, 250, 500, 500, 500, 1_000, 1_000, 9_000)
BIG = (10_001, 50_000, 10**38 - 1)
SOON = (1, 60, 3_600, 7_200)
STEPS = (0, 0, 1, 60, 3_600, 40_000, 86_400)
ODD: Metadata = {"class_version": 2, "n": 10**30}
TIER_B: Metadata = {"tier": "b"}
TIER_C: Metadata = {"tier": "c"}
BACK_DAYS = (0.01, 0.5, 1, 3, 10, 40)


class History:
    """What was asked so far, and what time it is."""

    def __init__(self) -> None:
        self.now = NOON
        self.asked: list[Keyed] = []
        self.by_id: dict[UUID, Keyed] = {}
        self.keys = 0

    def remember(self, command: Command) -> None:
        """Keep what has a key."""
        for one in command.commands if isinstance(command, Atomic) else (command,):
            if isinstance(one, Keyed) and one.transaction_id not in self.by_id:
                self.asked.append(one)
                self.by_id[one.transaction_id] = one

    def wait(self, rng: random.Random) -> None:
        """Let some time pass, or none."""
        self.now += timedelta(seconds=rng.choice(STEPS))


def fund(rng: random.Random, history: History) -> Command:
    """Bring money in, so that there is something to move."""
    account_id = rng.choice(("customer:1", "customer:1", "customer:2", "customer:3", "line:1"))
    dollars = (Posting("world", account_id, rng.choice((3_000, 20_000)), "USD"),)
    euros = (Posting("exchange:EUR", "customer:eur", 5000, "EUR"),)
    ledger, key = _new(rng, history)
    return Transfer(ledger=ledger, key=key, postings=dollars if _mostly(rng) else euros)


def transfer(rng: random.Random, history: History) -> Command:
    """Move money, perhaps dated back, perhaps with conditions."""
    ledger, key = _new(rng, history)
    postings, rate = _postings(rng)
    return Transfer(
        ledger=ledger,
        key=key,
        postings=postings,
        rate=rate,
        conditions=_conditions(rng, postings),
        effective_at=_dated(rng, history.now),
        description=rng.choice((None, None, "Grüße 🎉")),
        metadata=rng.choice((None, None, ODD)),
    )


def hold(rng: random.Random, history: History) -> Command:
    """Reserve money, for some time or for ever."""
    ledger, key = _new(rng, history)
    postings, rate = _postings(rng)
    return Hold(
        ledger=ledger,
        key=key,
        postings=postings,
        rate=rate,
        conditions=_conditions(rng, postings),
        expires_at=_ahead(rng, history.now) if _chance(rng, 60) else None,
        reference=rng.choice((None, "AUTH-1")),
    )


def reserve(rng: random.Random, history: History) -> Command:
    """Reserve what is there for certain, so that there is something to capture."""
    ledger, key = _new(rng, history)
    names = rng.sample(("customer:1", "customer:2", "customer:3"), rng.randint(1, 3))
    postings = tuple(Posting("world", name, rng.choice((300, 900)), "USD") for name in names)
    expires_at = rng.choice((None, history.now + timedelta(hours=3)))
    return Hold(ledger=ledger, key=key, postings=postings, expires_at=expires_at)


def schedule(rng: random.Random, history: History) -> Command:
    """Ask for a transfer later on."""
    ledger, key = _new(rng, history)
    postings, rate = _postings(rng)
    due_at = _ahead(rng, history.now)
    return Schedule(ledger=ledger, key=key, postings=postings, rate=rate, due_at=due_at)


def refund(rng: random.Random, history: History) -> Command:
    """Ask for all or some of something back."""
    about, ledger, key = _about(rng, history, (Transfer, Transfer, Capture, Schedule))
    return Refund(
        ledger=ledger,
        key=key,
        about=about,
        parts=_parts(rng, history, about),
        effective_at=_dated(rng, history.now),
    )


def capture(rng: random.Random, history: History) -> Command:
    """Ask for all or some of a hold."""
    about, ledger, key = _about(rng, history, (Hold,))
    return Capture(
        ledger=ledger,
        key=key,
        about=about,
        parts=_parts(rng, history, about),
        effective_at=_dated(rng, history.now),
    )


def void(rng: random.Random, history: History) -> Command:
    """Give a hold up."""
    about, ledger, key = _about(rng, history, (Hold,))
    return Void(ledger=ledger, key=key, about=about)


def cancel(rng: random.Random, history: History) -> Command:
    """Think better of a scheduled transfer."""
    about, ledger, key = _about(rng, history, (Schedule,))
    return Cancel(ledger=ledger, key=key, about=about)


def settle(rng: random.Random, history: History) -> Command:
    """Be the sweeper, too early or too late at times."""
    due = [one for one in history.asked if _time_of(one) <= history.now]
    if due and _chance(rng, 70):
        return Settle(about=rng.choice(due[-6:]).transaction_id)
    return Settle(about=_about(rng, history, (Hold, Schedule))[0])


def together(rng: random.Random, history: History) -> Command:
    """Ask for several things, all or none."""
    makers = (fund, fund, transfer, hold, schedule)
    several = [rng.choice(makers)(rng, history) for _ in range(rng.randint(1, 4))]
    asked = _of(history, (Transfer, Hold, Schedule))
    if asked and _chance(rng, 20):
        several.insert(0, rng.choice(asked))
    commands = [one for one in several if isinstance(one, Movement)]
    ledger = commands[0].ledger
    same = tuple(msgspec.structs.replace(one, ledger=ledger) for one in commands)
    return Atomic(ledger=ledger, commands=same)


def open_account(rng: random.Random, history: History) -> Command:
    """Open an account, or one that is there."""
    account_id = rng.choice((*ANYBODY, "listed:1", "listed:1"))
    return OpenAccount(
        ledger=rng.choice(LEDGERS),
        account_id=account_id,
        currency=_usual(account_id) if _mostly(rng) else rng.choice(CURRENCIES),
        overdraft_limit=rng.choice((msgspec.UNSET, msgspec.UNSET, None, 0, 500)),
        metadata=rng.choice((None, None, TIER_B)),
    )


def change_account(rng: random.Random, history: History) -> Command:
    """Change an account's policy; close it, too."""
    account_id = rng.choice(ANYBODY)
    quiet = (msgspec.UNSET, msgspec.UNSET, Status.OPEN, Status.OPEN, Status.OPEN)
    status = rng.choice((*quiet, *Status, Status.CLOSED))
    if status is Status.CLOSED:
        account_id = rng.choice((*PASSED_THROUGH, *PASSED_THROUGH, account_id))
    return ChangeAccount(
        ledger=rng.choice(LEDGERS),
        account_id=account_id,
        status=status,
        overdraft_limit=rng.choice((msgspec.UNSET, msgspec.UNSET, None, 0, 700)),
        metadata=rng.choice((msgspec.UNSET, msgspec.UNSET, None, TIER_C)),
        currency=_usual(account_id) if _mostly(rng) else rng.choice(CURRENCIES),
        expected_version=rng.choice((None, None, None, None, 1, 2, 3)),
    )


def close_books(rng: random.Random, history: History) -> Command:
    """Close the books up to some day; tomorrow, too."""
    days = rng.choice((*BACK_DAYS, 40, 40, 10, 0, -1))
    return CloseBooks(ledger=rng.choice(LEDGERS), closed_before=history.now - timedelta(days=days))


def again(rng: random.Random, history: History) -> Command:
    """Send something once more, as a client does who got no answer."""
    return rng.choice(history.asked) if history.asked else fund(rng, history)


def reuse(rng: random.Random, history: History) -> Command:
    """Ask for something else with a key that was used."""
    other = rng.choice((fund, transfer, hold, refund, capture, void, schedule))(rng, history)
    if not history.asked:
        return other
    used = rng.choice(history.asked)
    return msgspec.structs.replace(other, ledger=used.ledger, key=used.key)


Asking = Callable[[random.Random, History], Command]
WEIGHTS: dict[Asking, int] = {
    fund: 12,
    transfer: 10,
    hold: 8,
    reserve: 8,
    schedule: 6,
    refund: 12,
    capture: 14,
    void: 3,
    cancel: 3,
    settle: 10,
    together: 6,
    open_account: 3,
    change_account: 8,
    close_books: 2,
    again: 5,
    reuse: 3,
}
_KINDS = tuple(WEIGHTS)


def hours(rng: random.Random, steps: int, commands_max: int = 8) -> list[Hour]:
    """Return what clients ask within some hours: for each moment, several commands."""
    history = History()
    asked: list[Hour] = []
    for _ in range(steps):
        history.wait(rng)
        commands = []
        for ask in rng.choices(_KINDS, tuple(WEIGHTS.values()), k=rng.randint(1, commands_max)):
            commands.append(ask(rng, history))
            history.remember(commands[-1])
        asked.append((history.now, commands))
    return asked


def _new(rng: random.Random, history: History) -> tuple[str, str]:
    """Return a ledger, and a key that nobody has used yet."""
    history.keys += 1
    return rng.choice(LEDGERS), f"{rng.choice(CLIENTS)}-{history.keys}"


def _chance(rng: random.Random, percent: int) -> bool:
    """Return whether it happens. A whole number, because Hypothesis makes those smaller faster."""
    return rng.randrange(100) < percent


def _mostly(rng: random.Random) -> bool:
    return _chance(rng, 90)


def _usual(account_id: str) -> str:
    if account_id in EUROS:
        return "EUR"
    return "JPY" if account_id == "customer:yen" else "USD"


def _amount(rng: random.Random) -> int:
    return rng.choice(AMOUNTS if _mostly(rng) else BIG)


def _postings(rng: random.Random) -> tuple[tuple[Posting, ...], Rate | None]:
    """Return one posting, several, an exchange of currencies, or nonsense."""
    shape = rng.randrange(100)
    if shape < 50:
        source, destination = _two(rng, DOLLARS)
        return (Posting(source, destination, _amount(rng), "USD"),), None
    if shape < 55:
        # It only passes through, so the account is at zero again, and could be closed.
        through, amount = rng.choice(PASSED_THROUGH), _amount(rng)
        into = Posting("world", through, amount, "USD")
        return (into, Posting(through, "customer:1", amount, "USD")), None
    if shape < 75:
        pairs = [_two(rng, DOLLARS) for _ in range(rng.randint(2, 4))]
        return tuple(Posting(*pair, _amount(rng), "USD") for pair in pairs), None
    if shape < 90:
        sold = Posting(rng.choice(DOLLARS[:5]), "exchange:USD", 1000, "USD")
        bought = Posting("exchange:EUR", rng.choice(EUROS[:2]), 920, "EUR")
        return (sold, bought), Rate("USD", "EUR", "0.92")
    source, destination = _two(rng, ANYBODY)
    currency = rng.choice((_usual(source), rng.choice(CURRENCIES)))
    return (Posting(source, destination, _amount(rng), currency),), None


def _two(rng: random.Random, among: Sequence[str]) -> tuple[str, str]:
    source = rng.choice(among)
    return source, rng.choice([name for name in among if name != source])


def _conditions(rng: random.Random, postings: Sequence[Posting]) -> tuple[Condition, ...]:
    if _chance(rng, 70):
        return ()
    posting = rng.choice(postings)
    account_id = rng.choice((posting.debit, posting.credit))
    match rng.randrange(3):
        case 0:
            return (Condition(account_id=account_id, version=rng.choice((1, 1, 2, 3))),)
        case 1:
            return (Condition(account_id=account_id, balance_min=rng.choice((-9_000, 0, 700))),)
        case _:
            return (Condition(account_id=account_id, balance_max=rng.choice((0, 900, 9_000))),)


def _ahead(rng: random.Random, now: datetime) -> datetime:
    return now + timedelta(seconds=rng.choice(SOON) if _mostly(rng) else rng.choice((0, -60)))


def _dated(rng: random.Random, now: datetime) -> datetime | None:
    if _chance(rng, 70):
        return None
    return now - timedelta(days=rng.choice(BACK_DAYS)) if _mostly(rng) else _ahead(rng, now)


def _of(history: History, kinds: tuple[type[Keyed], ...]) -> list[Keyed]:
    return [command for command in history.asked if isinstance(command, kinds)]


def _about(
    rng: random.Random, history: History, kinds: tuple[type[Keyed], ...]
) -> tuple[UUID, str, str]:
    """Return an id that could fit, the ledger it is in, and a new key."""
    ledger, key = _new(rng, history)
    found = _of(history, (rng.choice(kinds),))
    if _chance(rng, 5):
        found = list(history.asked)
    if not found or _chance(rng, 2):
        return transaction_id(ledger, "never"), ledger, key
    earlier = rng.choice(found[-6:])
    right = _chance(rng, 97)
    return earlier.transaction_id, earlier.ledger if right else ledger, key


def _time_of(command: Keyed) -> datetime:
    """Return when something is to become of it by itself."""
    if isinstance(command, Schedule):
        return command.due_at
    return (command.expires_at if isinstance(command, Hold) else None) or NEVER


def _parts(rng: random.Random, history: History, about: UUID) -> tuple[Part, ...] | None:
    if _chance(rng, 25):
        return None
    earlier = history.by_id.get(about)
    while isinstance(earlier, FollowUp):
        earlier = history.by_id.get(earlier.about)
    postings = earlier.postings if isinstance(earlier, Movement) else ()
    lines = [line for line in range(len(postings)) if _chance(rng, 70)] or [0]
    if _chance(rng, 10):
        lines.append(rng.choice((*lines, len(postings))))
    return tuple(_part(rng, line, postings) for line in lines)


def _part(rng: random.Random, line: int, postings: Sequence[Posting]) -> Part:
    known = line < len(postings)
    whole = postings[line].amount_minor if known else 100
    amount = rng.choice((whole, max(1, whole // 2), max(1, whole // 2), max(1, whole // 3), 1))
    if not _mostly(rng):
        amount = whole + 1
    right = postings[line].currency if known else "USD"
    return Part(line, amount, rng.choice((None, None, right)) if _mostly(rng) else "EUR")

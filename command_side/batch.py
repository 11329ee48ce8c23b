"""One transaction of the log: many commands in, one outcome each.

    #   round trip          why
    1   BEGIN
    2   lock events.head    from here on nobody else decides
    3   known events        which commands were done before; what refunds refer to
    4   accounts            everything that deciding needs (and refunded totals, if asked)
    5   insert events       one statement
    6   put accounts        one statement (and refunded totals, if changed)
    7   move the head       position, time, and the relays' wake-up call
    8   COMMIT              durable from here on

A refused command fails alone; it never fails its batch.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from command_side.accounts import Account, AccountKey, evolve
from command_side.commands import AccountCommand, Command, Keyed, Refund, accounts_of, fingerprint
from command_side.decide import Original, State, decide, refused
from command_side.rejections import Rejection
from events import log
from events.schema import Schema
from events.vocabulary import (
    FIRST_VERSION,
    AccountChanged,
    AccountOpened,
    Event,
    Recorded,
    Side,
    Status,
    TransferPosted,
    TransferRejected,
    account_stream_id,
    transaction_id,
)
from runtime.database import Executor
from runtime.problems import Invalid, Problem, Rejected
from runtime.sql import queries

SQL = queries("command_side")
NewEvent = tuple[UUID, int, Event]


class Done(msgspec.Struct, frozen=True):
    """What became of a command: its own event (None if nothing had to change), and its place."""

    position: int
    recorded: Recorded | None
    account: Account | None = None
    replayed: bool = False


Outcome = Done | Problem


async def append_batch(
    connection: Executor, commands: Sequence[Command], schema: Schema, now: datetime
) -> list[Outcome]:
    """Decide `commands` in order and append what they cause, in one transaction."""
    async with connection.transaction():
        head = await log.lock_head(connection)
        known = await log.find(connection, _streams(commands))
        state = await _load(connection, commands, known)
        decided = _Decided(state, known, head.position)
        recorded_at = head.at(now)
        for command in commands:
            decided.take(command, schema, recorded_at)
        if decided.events:
            _check_balanced(decided)
            await log.append(connection, head, decided.events)
            await _store(connection, decided)
    return decided.outcomes


class _Decided:
    """The batch as it grows: every decision sees those before it."""

    def __init__(self, state: State, known: dict[UUID, Recorded], position: int) -> None:
        self.state = state
        self.known = known
        self.position = position
        self.before = dict(state.accounts)
        self.events: list[NewEvent] = []
        self.refunded: dict[UUID, int] = {}
        self.outcomes: list[Outcome] = []

    def take(self, command: Command, schema: Schema, recorded_at: datetime) -> None:
        """Decide one command, and keep its events and its outcome."""
        if isinstance(command, AccountCommand):
            self.outcomes.append(self._account_command(command, schema, recorded_at))
            return
        stream_id = transaction_id(command.ledger, command.key)
        existing = self.known.get(stream_id)
        if existing is not None:
            self.outcomes.append(_replayed(existing, command))
            return
        try:
            decision = decide(command, self.state, schema, recorded_at)
        except Invalid as problem:
            self.outcomes.append(problem)
            return
        if isinstance(decision, Rejection):
            decision = [refused(command, decision, recorded_at)]
        *before, own = decision
        for event in before:
            self._add(event)
        recorded = self._add(own)
        self.known[stream_id] = recorded
        self.outcomes.append(Done(recorded.position, recorded))

    def _account_command(
        self, command: AccountCommand, schema: Schema, recorded_at: datetime
    ) -> Outcome:
        decision = decide(command, self.state, schema, recorded_at)
        if isinstance(decision, Rejection):
            return Rejected(decision.code, decision.detail)
        recorded = None
        for event in decision:
            recorded = self._add(event)
        account = self.state.accounts[command.ledger, command.account_id]
        return Done(self.position, recorded, account)

    def _add(self, event: Event) -> Recorded:
        evolve(self.state.accounts, event)
        stream_id, version = self._place(event)
        self.position += 1
        self.events.append((stream_id, version, event))
        recorded = Recorded(self.position, stream_id, version, event)
        if isinstance(event, TransferPosted | TransferRejected):
            self._remember_original(stream_id, event)
        return recorded

    def _place(self, event: Event) -> tuple[UUID, int]:
        match event:
            case TransferPosted() | TransferRejected():
                return transaction_id(event.ledger, event.key), FIRST_VERSION
            case AccountOpened() | AccountChanged():
                account = self.state.accounts[event.ledger, event.account_id]
                return account_stream_id(event.ledger, event.account_id), account.version

    def _remember_original(self, stream_id: UUID, event: TransferPosted | TransferRejected) -> None:
        self.state.originals[stream_id] = Original(event, 0)
        if isinstance(event, TransferPosted) and event.refund_of is not None:
            original = self.state.originals[event.refund_of]
            total = original.refunded + event.postings[0].amount_minor
            self.state.originals[event.refund_of] = Original(original.event, total)
            self.refunded[event.refund_of] = total


def _streams(commands: Sequence[Command]) -> list[UUID]:
    """Return the streams to look up: the commands' own, and those that refunds refer to."""
    streams = set()
    for command in commands:
        if isinstance(command, Keyed):
            streams.add(transaction_id(command.ledger, command.key))
        if isinstance(command, Refund):
            streams.add(command.refund_of)
    return list(streams)


async def _load(
    connection: Executor, commands: Sequence[Command], known: dict[UUID, Recorded]
) -> State:
    wanted: set[AccountKey] = set()
    originals: dict[UUID, Event] = {}
    for command in commands:
        wanted.update((command.ledger, account_id) for account_id in accounts_of(command))
        if isinstance(command, Refund) and command.refund_of in known:
            event = known[command.refund_of].event
            originals[command.refund_of] = event
            if isinstance(event, TransferPosted):
                for posting in event.postings:
                    wanted |= {(event.ledger, posting.debit), (event.ledger, posting.credit)}
    ledgers, account_ids = zip(*wanted, strict=True) if wanted else ((), ())
    rows = await connection.fetch(SQL["accounts"], ledgers, account_ids)
    refunded: dict[UUID, int] = {}
    if originals:
        found = await connection.fetch(SQL["refunded"], list(originals))
        refunded = {row["transaction_id"]: row["refunded"] for row in found}
    return State(
        accounts={(row["ledger"], row["account_id"]): _account(row) for row in rows},
        originals={key: Original(event, refunded.get(key, 0)) for key, event in originals.items()},
    )


def _account(row: asyncpg.Record) -> Account:
    return Account(
        row["ledger"],
        row["account_id"],
        row["account_class"],
        row["currency"],
        Side(row["normal_side"]),
        row["overdraft_limit"],
        Status(row["status"]),
        row["version"],
        row["debits_posted"],
        row["credits_posted"],
        row["debits_pending"],
        row["credits_pending"],
    )


async def _store(connection: Executor, decided: _Decided) -> None:
    # In the order of their keys, as everywhere, so that writers can never wait in a circle.
    changed = [
        account
        for key, account in sorted(decided.state.accounts.items())
        if decided.before.get(key) is not account
    ]
    if changed:
        await connection.execute(
            SQL["put_accounts"],
            [account.ledger for account in changed],
            [account.account_id for account in changed],
            [account.account_class for account in changed],
            [account.currency for account in changed],
            [account.normal_side for account in changed],
            [None if a.overdraft_limit is None else str(a.overdraft_limit) for a in changed],
            [account.status for account in changed],
            [account.version for account in changed],
            [str(account.debits_posted) for account in changed],
            [str(account.credits_posted) for account in changed],
            [str(account.debits_pending) for account in changed],
            [str(account.credits_pending) for account in changed],
        )
    if decided.refunded:
        totals = [str(total) for total in decided.refunded.values()]
        await connection.execute(SQL["put_refunded"], list(decided.refunded), totals)


def _replayed(existing: Recorded, command: Keyed) -> Outcome:
    """Return the first outcome again, rebuilt from its event, if this is the same command."""
    assert isinstance(existing.event, TransferPosted | TransferRejected)
    if existing.event.fingerprint != fingerprint(command):
        detail = f"The idempotency key {command.key!r} was used for a different command."
        return Rejected("idempotency_key_reused", detail)
    return Done(existing.position, existing, replayed=True)


def _check_balanced(decided: _Decided) -> None:
    """Assert that debits equal credits per currency, from the account rows and not the events."""
    net: dict[str, int] = defaultdict(int)
    for key, account in decided.state.accounts.items():
        before = decided.before.get(key)
        net[account.currency] += account.debits_posted - account.credits_posted
        if before is not None:
            net[account.currency] -= before.debits_posted - before.credits_posted
    assert not any(net.values()), f"debits and credits differ: {dict(net)}"

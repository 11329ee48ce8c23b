"""One transaction of the log: many commands in, one outcome each.

    #   round trip          why
    1   BEGIN
    2   lock events.head    from here on nobody else decides
    3   known events        which commands were done before; what refunds refer to
    4   accounts            what deciding needs and this process doesn't remember (and refunded
                            totals, if asked)
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

import msgspec

from command_side.accounts import Account, AccountKey, evolve
from command_side.commands import AccountCommand, Command, Keyed, Refund, accounts_of
from command_side.decide import Decision, Original, State, decide, refused
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
)
from runtime.database import Executor
from runtime.problems import Invalid, Problem, Rejected
from runtime.sql import Row, as_rows, queries

SQL = queries("command_side")
ACCOUNTS_REMEMBERED_MAX = 100_000
NewEvent = tuple[UUID, int, Event]


class Done(msgspec.Struct, frozen=True):
    """What became of a command: its own event (None if nothing had to change), and its place."""

    position: int
    recorded: Recorded | None
    account: Account | None = None
    replayed: bool = False


Outcome = Done | Problem


class Memory:
    """Accounts as this process last stored them: true as long as nobody else has moved the head.

    Bounded: when it would grow beyond ACCOUNTS_REMEMBERED_MAX it starts anew. Whoever mends rows of
    `command.accounts` by hand restarts the writers afterwards.
    """

    def __init__(self) -> None:
        self._position = -1
        self._accounts: dict[AccountKey, Account] = {}

    def recall(self, position: int, wanted: set[AccountKey]) -> dict[AccountKey, Account]:
        """Return what is known of the `wanted` accounts as of `position`."""
        if position != self._position:
            self._accounts.clear()
        known = self._accounts
        return {key: known[key] for key in wanted if key in known}

    def keep(self, position: int, accounts: dict[AccountKey, Account]) -> None:
        """Remember `accounts` as of `position`, which has been committed."""
        if len(self._accounts) + len(accounts) > ACCOUNTS_REMEMBERED_MAX:
            self._accounts.clear()
        self._accounts.update(accounts)
        self._position = position


async def append_batch(
    connection: Executor,
    commands: Sequence[Command],
    schema: Schema,
    now: datetime,
    memory: Memory | None = None,
) -> list[Outcome]:
    """Decide `commands` in order and append what they cause, in one transaction."""
    memory = memory or Memory()
    async with connection.transaction():
        head = await log.lock_head(connection)
        known = await log.find(connection, _streams(commands))
        state = await _load(connection, commands, known, memory, head.position)
        decided = _Decided(state, known, head.position)
        recorded_at = head.at(now)
        for command in commands:
            decided.take(command, schema, recorded_at)
        if decided.events:
            _check_balanced(decided)
            await log.append(connection, head, decided.events)
            await _store(connection, decided)
    memory.keep(decided.position, state.accounts)
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
        existing = self.known.get(command.transaction_id) if isinstance(command, Keyed) else None
        if existing is not None:
            self.outcomes.append(_replayed(existing, command))
            return
        try:
            decision = decide(command, self.state, schema, recorded_at)
        except Invalid as problem:
            self.outcomes.append(problem)
            return
        if isinstance(command, Keyed):
            self.outcomes.append(self._log_transaction(command, decision, recorded_at))
        else:
            self.outcomes.append(self._log_account(command, decision))

    def _log_transaction(
        self, command: Keyed, decision: Decision, recorded_at: datetime
    ) -> Outcome:
        if isinstance(decision, Rejection):
            decision = [refused(command, decision, recorded_at)]
        *openings, own = decision
        for opening in openings:
            self._log_policy(opening)
        recorded = self._log(command.transaction_id, FIRST_VERSION, own)
        self.known[command.transaction_id] = recorded
        assert isinstance(own, TransferPosted | TransferRejected)
        self._remember_original(command.transaction_id, own)
        return Done(recorded.position, recorded)

    def _log_account(self, command: AccountCommand, decision: Decision) -> Outcome:
        if isinstance(decision, Rejection):
            return Rejected(decision.code, decision.detail)
        recorded = [self._log_policy(event) for event in decision]
        account = self.state.accounts[command.ledger, command.account_id]
        return Done(self.position, recorded[-1] if recorded else None, account)

    def _log_policy(self, event: Event) -> Recorded:
        assert isinstance(event, AccountOpened | AccountChanged)
        before = self.state.accounts.get((event.ledger, event.account_id))
        version = FIRST_VERSION if before is None else before.version + 1
        return self._log(account_stream_id(event.ledger, event.account_id), version, event)

    def _log(self, stream_id: UUID, version: int, event: Event) -> Recorded:
        evolve(self.state.accounts, event)
        self.position += 1
        self.events.append((stream_id, version, event))
        return Recorded(self.position, stream_id, version, event)

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
            streams.add(command.transaction_id)
        if isinstance(command, Refund):
            streams.add(command.refund_of)
    return list(streams)


async def _load(
    connection: Executor,
    commands: Sequence[Command],
    known: dict[UUID, Recorded],
    memory: Memory,
    position: int,
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
    accounts = memory.recall(position, wanted)
    if forgotten := wanted - accounts.keys():
        ledgers, account_ids = zip(*forgotten, strict=True)
        for row in await connection.fetch(SQL["accounts"], ledgers, account_ids):
            accounts[row["ledger"], row["account_id"]] = _account(row)
    refunded: dict[UUID, int] = {}
    if originals:
        found = await connection.fetch(SQL["refunded"], list(originals))
        refunded = {row["transaction_id"]: row["refunded"] for row in found}
    return State(
        accounts=accounts,
        originals={key: Original(event, refunded.get(key, 0)) for key, event in originals.items()},
    )


def _account(row: Row) -> Account:
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
        await connection.execute(SQL["put_accounts"], as_rows(changed))
    if decided.refunded:
        totals = [
            {"transaction_id": key, "refunded": total} for key, total in decided.refunded.items()
        ]
        await connection.execute(SQL["put_refunded"], as_rows(totals))


def _replayed(existing: Recorded, command: Command) -> Outcome:
    """Return the first outcome again, rebuilt from its event, if this is the same command."""
    assert isinstance(existing.event, TransferPosted | TransferRejected)
    assert isinstance(command, Keyed)
    if existing.event.fingerprint != command.fingerprint:
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

"""One transaction: the next events of the log → rows of the read models + the checkpoint.

    #   round trip          why
    1   BEGIN
    2   lock checkpoint     two workers take turns; the later one finds its events old
    3   read the log        a page of it
    4   balances            of every account of the page
    5   add / put rows      one statement a table, however many rows
    6   move checkpoint
    7   COMMIT              rows and checkpoint, or neither

So duplicated, lost, reordered and forged messages, two workers at once and an emptied queue change
nothing: a message only says that there is something to read.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from events import checkpoints, log
from events.vocabulary import AccountChanged, AccountOpened, Recorded, Side, Status, TransferPosted
from projections import balances, entries, transactions
from projections.balances import AccountKey, Balance
from projections.entries import Entry
from projections.transactions import Transaction
from runtime import database, telemetry
from runtime.database import Executor
from runtime.sql import as_rows, queries

logger = logging.getLogger(__name__)

SQL = queries("projections")


class PoisonEventError(RuntimeError):
    """An event cannot be applied. The line stands until a person looks; nothing is skipped."""


class OpenedAccount(msgspec.Struct, frozen=True):
    """A row of `read.accounts`, field by column."""

    ledger: str
    account_id: str
    account_class: str
    currency: str
    normal_side: Side
    overdraft_limit: str | None
    opened_at: datetime
    status: Status = Status.OPEN


class Page(msgspec.Struct):
    """The rows that some consecutive events make."""

    balances: dict[AccountKey, Balance]
    opened: list[OpenedAccount] = msgspec.field(default_factory=list)
    changed: dict[AccountKey, AccountChanged] = msgspec.field(default_factory=dict)
    entries: list[Entry] = msgspec.field(default_factory=list)
    transactions: list[Transaction] = msgspec.field(default_factory=list)
    refunded: dict[UUID, int] = msgspec.field(default_factory=lambda: defaultdict(int))


async def catch_up(connection: Executor, events_max: int) -> int:
    """Apply the next events of the log, at most `events_max`; return how many.

    If one of them cannot be applied, those before it are, and then PoisonEventError is raised.
    """
    try:
        return await _apply_page(connection, events_max)
    except database.CONNECTION_ERRORS:
        raise
    except Exception as error:
        if events_max > 1:
            logger.warning("a page cannot be applied whole (%s); going on event by event", error)
            return await catch_up(connection, 1)
        telemetry.POISONED.set(1)
        position = await checkpoints.read(connection, checkpoints.PROJECTOR) + 1
        raise PoisonEventError(f"position {position} cannot be applied: {error!r}") from error


async def _apply_page(connection: Executor, events_max: int) -> int:
    async with connection.transaction():
        position = await checkpoints.lock(connection, checkpoints.PROJECTOR)
        events = await log.read_after(connection, position, events_max)
        if not events:
            return 0
        page = fold(events, await _balances(connection, events))
        await _write(connection, page)
        await checkpoints.move(connection, checkpoints.PROJECTOR, events[-1].position)
    telemetry.POISONED.set(0)
    telemetry.APPLIED_EVENTS.inc(len(events))
    telemetry.CHECKPOINT.labels(checkpoints.PROJECTOR).set(events[-1].position)
    return len(events)


def fold(events: Sequence[Recorded], known: dict[AccountKey, Balance]) -> Page:
    """Return the rows that `events` make, on top of the `known` balances. Pure."""
    page = Page(known)
    for recorded in events:
        _fold_one(page, recorded)
    return page


def _fold_one(page: Page, recorded: Recorded) -> None:
    event = recorded.event
    balances.fold(page.balances, recorded)
    page.entries += entries.fold(recorded, page.balances)
    transaction = transactions.fold(recorded)
    if transaction is not None:
        page.transactions.append(transaction)
    if isinstance(event, TransferPosted) and event.refund_of is not None:
        page.refunded[event.refund_of] += event.postings[0].amount_minor
    if isinstance(event, AccountOpened):
        page.opened.append(
            OpenedAccount(
                event.ledger,
                event.account_id,
                event.account_class,
                event.currency,
                event.normal_side,
                event.overdraft_limit,
                event.recorded_at,
            )
        )
    if isinstance(event, AccountChanged):
        page.changed[event.ledger, event.account_id] = event


async def _balances(connection: Executor, events: Sequence[Recorded]) -> dict[AccountKey, Balance]:
    wanted = {
        (event.ledger, account_id)
        for event in (recorded.event for recorded in events)
        if isinstance(event, TransferPosted)
        for posting in event.postings
        for account_id in (posting.debit, posting.credit)
    }
    if not wanted:
        return {}
    ledgers, account_ids = zip(*wanted, strict=True)
    rows = await connection.fetch(SQL["balances"], ledgers, account_ids)
    return {
        (row["ledger"], row["account_id"]): Balance(
            row["ledger"],
            row["account_id"],
            Side(row["normal_side"]),
            row["position"],
            row["as_of"],
            row["debits_posted"],
            row["credits_posted"],
            row["debits_pending"],
            row["credits_pending"],
        )
        for row in rows
    }


async def _write(connection: Executor, page: Page) -> None:
    # In the order of their keys, as everywhere.
    balances_by_key = [balance for _, balance in sorted(page.balances.items())]
    refunded = [{"transaction_id": key, "refunded": minor} for key, minor in page.refunded.items()]
    for query, rows in (
        (SQL["add_accounts"], page.opened),
        (SQL["change_accounts"], list(page.changed.values())),
        (SQL["put_balances"], balances_by_key),
        (SQL["add_entries"], page.entries),
        (SQL["add_transactions"], page.transactions),
        (SQL["add_refunded"], refunded),
    ):
        if rows:
            await connection.execute(query, as_rows(rows))

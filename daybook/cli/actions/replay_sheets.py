"""The answers of a replay as sheets: every amount is exact text in units of its currency."""

from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from auditing.explain.counters import Counters
from auditing.explain.difference import AccountChange, Difference
from auditing.explain.explanation import Explanation
from auditing.explain.sentences import Decimals
from auditing.explain.story import Step
from auditing.explain.trial_balance import TrialBalance
from daybook.cli.sheets import Column, Sheet, Values
from events import money

COUNTERS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
SHOWN_MAX = 20


TRIAL_BALANCE = (
    *(Column("ledger", -12), Column("account_id", -28), Column("currency", -8)),
    *(Column("debits", 18), Column("credits", 18), Column("balance", 18)),
    *(Column("debits_pending"), Column("credits_pending")),
)
STORY = (
    *(Column("position", 9), Column("recorded_at", -27), Column("change", 14)),
    *(Column("balance", 16), Column("type"), Column("transaction_id"), Column("key")),
    *(Column("moved"), *map(Column, COUNTERS), Column("sentence", -1)),
)
DIFFERENCE = (
    *(Column("ledger", -12), Column("account_id", -28), Column("currency", -8)),
    *(Column("balance_before", 18), Column("balance_after", 18), Column("events", 7)),
    Column("first_position", 14),
    *(Column(f"{name}_{when}") for when in ("before", "after") for name in COUNTERS),
    Column("policy", -1),
)
EXPLANATION = (
    *(Column("position", 9), Column("recorded_at", -27), Column("kind", -9)),
    *(Column("amount", 16), Column("balance", 16), Column("transaction_id")),
    Column("sentence", -1),
)


def trial_balance(found: TrialBalance, decimals: Decimals) -> Sheet:
    """Return every account, and the sums of each currency."""

    def text(minor: int, currency: str) -> str:
        return money.to_text(minor, decimals(currency))

    rows = (
        {
            "ledger": row.ledger,
            "account_id": row.account_id,
            "currency": row.currency,
            "debits": text(row.counters.debits_posted, row.currency),
            "credits": text(row.counters.credits_posted, row.currency),
            "balance": text(row.counters.balance, row.currency),
            "debits_pending": text(row.counters.debits_pending, row.currency),
            "credits_pending": text(row.counters.credits_pending, row.currency),
        }
        for row in found.accounts
    )
    totals = {
        currency: {
            "debit": text(sums.debits_posted, currency),
            "credit": text(sums.credits_posted, currency),
        }
        for currency, sums in found.totals.items()
    }
    closing = [
        f"{'':<12} {'total':<28} {currency:<8} {both['debit']:>18} {both['credit']:>18}"
        for currency, both in totals.items()
    ]
    word = "balanced" if found.balanced else "NOT balanced: debits and credits differ"
    return Sheet(
        "accounts",
        TRIAL_BALANCE,
        _each(rows),
        lambda: {"position": found.position, "totals": totals, "balanced": found.balanced},
        lambda: [*closing, f"{word}, as of position {found.position:,}"],
    )


def story(steps: AsyncIterator[Step], currency: str, decimals: int) -> Sheet:
    """Return an account's story, step by step, and its counters at the end."""
    last: list[Step] = []

    async def rows() -> AsyncIterator[Values]:
        async for step in steps:
            last[:] = [step]
            yield {
                "position": step.position,
                "recorded_at": step.recorded_at,
                "change": money.to_text(step.change, decimals),
                "balance": money.to_text(step.counters.balance, decimals),
                "type": step.type,
                "transaction_id": step.transaction_id,
                "key": step.key,
                "moved": step.moved,
                **_counters(step.counters, decimals),
                "sentence": step.sentence,
            }

    def beside() -> Values:
        ending = last[0].counters if last else Counters()
        balance = money.to_text(ending.balance, decimals)
        return {"currency": currency, "balance": balance, **_counters(ending, decimals)}

    def closing() -> list[str]:
        return [f"{name.replace('_', ' ')}: {value}" for name, value in beside().items()]

    return Sheet("steps", STORY, rows(), beside, closing)


def difference(found: Difference, decimals: Decimals) -> Sheet:
    """Return the accounts that differ; beside them transactions, books and events."""

    def row(change: AccountChange) -> Values:
        places = decimals(change.currency)
        return {
            "ledger": change.ledger,
            "account_id": change.account_id,
            "currency": change.currency,
            "balance_before": money.to_text(change.before.balance, places),
            "balance_after": money.to_text(change.after.balance, places),
            "events": change.events,
            "first_position": change.first_position,
            **_counters(change.before, places, "_before"),
            **_counters(change.after, places, "_after"),
            "policy": change.policy or None,
        }

    def closing() -> list[str]:
        lines = [
            f"transaction {change.transaction_id}: {change.before} -> {change.after}, "
            f"used {change.used_before} -> {change.used_after} minor units"
            for change in found.standings[:SHOWN_MAX]
        ]
        if len(found.standings) > SHOWN_MAX:
            lines.append(f"… and {len(found.standings) - SHOWN_MAX:,} more (--format json)")
        lines += [f"{count:,} new transactions {stage}" for stage, count in found.began.items()]
        lines += [
            f"books of {ledger} closed before {now.isoformat()}"
            for ledger, (_, now) in found.closed_books.items()
        ]
        between = f"positions {found.first + 1:,} to {found.second:,}"
        return [*lines, f"{found.event_count:,} events at {between}"]

    beside = msgspec.structs.asdict(found)
    del beside["accounts"]
    return Sheet("accounts", DIFFERENCE, _each(map(row, found.accounts)), lambda: beside, closing)


def explanation(found: Explanation, decimals: int) -> Sheet:
    """Return the events that made a balance, and their sums."""

    def text(minor: int) -> str:
        return money.to_text(minor, decimals)

    rows = (
        msgspec.structs.asdict(made) | {"amount": text(made.amount), "balance": text(made.balance)}
        for made in found.contributions
    )
    sums = {
        kind: {"events": each.events, "amount": text(each.amount)}
        for kind, each in found.by_kind.items()
    }
    left_out = {"events": found.left_out.events, "amount": text(found.left_out.amount)}

    def beside() -> Values:
        return {
            "ledger": found.ledger,
            "account_id": found.account_id,
            "position": found.position,
            "currency": found.currency,
            "normal_side": found.normal_side,
            "balance": text(found.counters.balance),
            **_counters(found.counters, decimals),
            "by_kind": sums,
            "left_out": left_out,
        }

    def closing() -> Sequence[str]:
        lines = []
        if found.left_out.events:
            lines.append(
                f"and {found.left_out.events:,} other events, together {left_out['amount']}"
            )
        lines += [
            f"{kind:<12} {each['events']:>9,} events {each['amount']:>20}"
            for kind, each in sums.items()
        ]
        held = text(found.counters.debits_pending), text(found.counters.credits_pending)
        balance = f"{text(found.counters.balance)} {found.currency} ({found.normal_side}-normal)"
        whose = f"{found.account_id} in {found.ledger} at position {found.position:,}"
        return [
            *lines,
            f"held: debits {held[0]}, credits {held[1]}",
            f"balance of {whose}: {balance}",
        ]

    return Sheet("contributions", EXPLANATION, _each(rows), beside, closing)


def _counters(counters: Counters, decimals: int, suffix: str = "") -> dict[str, object]:
    return {
        f"{name}{suffix}": money.to_text(getattr(counters, name), decimals) for name in COUNTERS
    }


async def _each(rows: Iterable[Values]) -> AsyncIterator[Values]:
    for row in rows:
        yield row

"""Corruptions of the views: what a bug, a mistake or an attacker does to derived rows.

Every last statement returns the location, taken from the row itself and never from what is found.
"""

# ruff: noqa: S608 - statements made of constants

from auditing.discrepancies import DiscrepancyKind
from daybook.drill.corruption import Corruption, Remedy, by_sql
from daybook.drill.sandbox import LOG

K = DiscrepancyKind
MIDDLE = "(SELECT position / 2 FROM events.head)"
OF_ENTRY = "RETURNING position, account_id, transaction_id"
PLAIN_ENTRY = (
    "ctid = (SELECT ctid FROM read.entries WHERE kind = 'posted' AND ledger = 'shop'"
    f" AND position > {MIDDLE} ORDER BY position, line LIMIT 1)"
)
PLAIN_TRANSACTION = (
    f"ctid = (SELECT ctid FROM read.transactions WHERE position > {MIDDLE}"
    " AND idempotency_key LIKE 'plain-%' ORDER BY position LIMIT 1)"
)
CAROL = "ledger = 'shop' AND account_id = 'carol'"
# The last event that changed carol's policy, and the last one that moved her money.
CAROLS_POLICY = f"""(
    SELECT max(notification_id) FROM {LOG} WHERE topic = 'account.changed'
    AND convert_from(state, 'UTF8')::jsonb @> '{{"ledger": "shop", "account_id": "carol"}}'
)"""
CAROLS_LAST = f"(SELECT max(position) FROM read.entries WHERE {CAROL})"


def _views(name: str, story: str, kinds: set[DiscrepancyKind], *statements: str) -> Corruption:
    return Corruption(
        name=name,
        story=story,
        tamper=by_sql(*statements),
        remedy=Remedy.REPAIR,
        reconcile=frozenset(kinds),
    )


CORRUPTIONS = (
    _views(
        "an entry is deleted",
        "Somebody deletes one of an account's entries.",
        {K.MISSING_ENTRY},
        f"DELETE FROM read.entries WHERE {PLAIN_ENTRY} {OF_ENTRY}",
    ),
    _views(
        "an entry is made up",
        "Somebody adds an entry that no event made.",
        {K.UNEXPECTED_ENTRY},
        f"""INSERT INTO read.entries
        SELECT (jsonb_populate_record(real, '{{"line": 77}}')).* FROM read.entries AS real
        WHERE real.{PLAIN_ENTRY} {OF_ENTRY}""",
    ),
    _views(
        "an entry's amount is changed",
        "An amount becomes one cent more.",
        {K.AMOUNT_MISMATCH},
        f"UPDATE read.entries SET amount = amount + 1 WHERE {PLAIN_ENTRY} {OF_ENTRY}",
    ),
    _views(
        "an entry changes sides",
        "A debit becomes a credit.",
        {K.AMOUNT_MISMATCH},
        f"""UPDATE read.entries
        SET side = CASE side WHEN 'debit' THEN 'credit' ELSE 'debit' END
        WHERE {PLAIN_ENTRY} {OF_ENTRY}""",
    ),
    _views(
        "an entry moves to another account",
        "Money seems to have gone to somebody else.",
        {K.MISSING_ENTRY, K.UNEXPECTED_ENTRY},
        f"UPDATE read.entries SET account_id = 'mallory' WHERE {PLAIN_ENTRY} {OF_ENTRY}",
    ),
    _views(
        "a running balance is changed",
        "The running balance of one of an account's entries is changed.",
        {K.BALANCE_MISMATCH},
        f"""UPDATE read.entries SET credits_posted = credits_posted + 1
        WHERE {PLAIN_ENTRY} {OF_ENTRY}""",
    ),
    _views(
        "a transaction is deleted",
        "A payment can no longer be looked up.",
        {K.MISSING_TRANSACTION},
        f"DELETE FROM read.transactions WHERE {PLAIN_TRANSACTION} RETURNING position,"
        " transaction_id",
    ),
    _views(
        "a transaction is made up",
        "A payment is shown that nobody made.",
        {K.UNEXPECTED_TRANSACTION},
        f"""INSERT INTO read.transactions SELECT (jsonb_populate_record(real, jsonb_build_object(
            'transaction_id', gen_random_uuid(), 'idempotency_key', 'forged', 'ledger', 'market'
        ))).* FROM read.transactions AS real WHERE ctid = (
            SELECT ctid FROM read.transactions WHERE ledger = 'shop' AND position > {MIDDLE}
            ORDER BY position LIMIT 1
        ) RETURNING position, transaction_id""",
    ),
    _views(
        "a refusal becomes a success",
        "A payment that was refused is shown as completed.",
        {K.STATUS_MISMATCH},
        """UPDATE read.transactions SET stage = 'COMPLETED'
        WHERE ledger = 'shop' AND idempotency_key = 'too-much'
        RETURNING position, transaction_id""",
    ),
    _views(
        "a transaction's amount is changed",
        "A payment is shown with another amount than it had.",
        {K.TRANSACTION_MISMATCH},
        f"""UPDATE read.transactions SET amount = amount + 1 WHERE {PLAIN_TRANSACTION}
        RETURNING position, transaction_id""",
    ),
    _views(
        "a mention is deleted",
        "A refusal disappears from an account's history.",
        {K.MISSING_MENTION},
        """DELETE FROM read.mentions WHERE ctid = (
            SELECT ctid FROM read.mentions WHERE ledger = 'shop' ORDER BY position LIMIT 1
        ) RETURNING position, account_id""",
    ),
    _views(
        "a mention is made up",
        "An account's history shows a refusal that was another's.",
        {K.UNEXPECTED_MENTION},
        """INSERT INTO read.mentions (ledger, account_id, position)
        SELECT ledger, 'mallory', position FROM read.mentions WHERE ledger = 'shop'
        ORDER BY position LIMIT 1 RETURNING position, account_id""",
    ),
    _views(
        "a moment is deleted",
        "A recorded time is missing: balances at it would be those of an earlier time.",
        {K.MISSING_MOMENT},
        f"""DELETE FROM read.moments WHERE position = (
            SELECT min(position) FROM read.moments WHERE position > {MIDDLE}
        ) RETURNING position""",
    ),
    _views(
        "a moment is made up",
        "A recorded time is shown at which nothing was recorded.",
        {K.UNEXPECTED_MOMENT},
        f"""INSERT INTO read.moments (recorded_at, position)
        SELECT recorded_at + interval '1 microsecond', position FROM read.moments
        WHERE position > {MIDDLE} ORDER BY position LIMIT 1 RETURNING position""",
    ),
    _views(
        "a moment points elsewhere",
        "Balances at a recorded time leave out its last event.",
        {K.MOMENT_MISMATCH},
        f"""UPDATE read.moments SET position = position - 1 WHERE position = (
            SELECT min(position) FROM read.moments WHERE position > {MIDDLE}
        ) RETURNING position + 1 AS position""",
    ),
    _views(
        "a policy is changed",
        "An account's overdraft limit is raised without an event.",
        {K.POLICY_MISMATCH},
        f"""UPDATE read.accounts SET overdraft_limit = overdraft_limit + 1 WHERE {CAROL}
        RETURNING {CAROLS_POLICY} AS position, account_id""",
    ),
    _views(
        "a balance is changed",
        "An account shows more money than its entries add up to.",
        {K.BALANCE_DRIFT},
        f"""UPDATE read.balances SET credits_posted = credits_posted + 100_000 WHERE {CAROL}
        RETURNING {CAROLS_LAST} AS position, account_id""",
    ),
    _views(
        "a balance is deleted",
        "An account shows no balance at all.",
        {K.BALANCE_DRIFT},
        f"""DELETE FROM read.balances WHERE {CAROL}
        RETURNING {CAROLS_LAST} AS position, account_id""",
    ),
    _views(
        "a hold's standing is changed",
        "A captured hold is shown as pending again.",
        {K.STANDING_MISMATCH},
        """UPDATE read.standings SET stage = 'PENDING' WHERE ctid = (
            SELECT ctid FROM read.standings WHERE stage = 'CAPTURED' ORDER BY position LIMIT 1
        ) RETURNING position, transaction_id""",
    ),
    _views(
        "closed books are opened",
        "Closed books are shown as open again.",
        {K.BOOKS_MISMATCH},
        """UPDATE read.books SET closed_before = closed_before - interval '1 year'
        WHERE ledger = 'shop' RETURNING position""",
    ),
    _views(
        "the writer's balance is changed",
        "The row that decides whether a payment is covered has more money than was paid in.",
        {K.COMMAND_DRIFT},
        f"""UPDATE command.accounts SET credits_posted = credits_posted + 100_000 WHERE {CAROL}
        RETURNING greatest({CAROLS_LAST}, {CAROLS_POLICY}) AS position, account_id""",
    ),
    _views(
        "the writer's hold is changed",
        "A hold that was used up could be captured once more.",
        {K.COMMAND_STANDING_DRIFT},
        """UPDATE command.standings AS mine SET stage = 'PENDING' FROM read.standings AS shown
        WHERE shown.transaction_id = mine.transaction_id AND mine.transaction_id = (
            SELECT transaction_id FROM read.standings WHERE stage = 'CAPTURED'
            ORDER BY position LIMIT 1
        ) RETURNING shown.position, mine.transaction_id""",
    ),
    _views(
        "the writer's books are opened",
        "Payments could be dated into a closed month.",
        {K.COMMAND_BOOKS_DRIFT},
        """UPDATE command.books AS mine SET closed_before = mine.closed_before - interval '1 year'
        FROM read.books AS shown WHERE shown.ledger = mine.ledger AND mine.ledger = 'shop'
        RETURNING shown.position""",
    ),
    Corruption(
        name="a whole view is emptied",
        story="Somebody truncates the entries.",
        tamper=by_sql(
            "CREATE TEMPORARY TABLE lost AS SELECT min(position) AS position FROM read.entries",
            "TRUNCATE read.entries",
            "SELECT position FROM lost",
        ),
        remedy=Remedy.REBUILD,
        reconcile=frozenset({K.MISSING_ENTRY}),
    ),
    Corruption(
        name="both sides tell the same lie",
        story="Somebody gives an account money in the read models and in the writer's row.",
        tamper=by_sql(
            f"UPDATE command.accounts SET credits_posted = credits_posted + 500 WHERE {CAROL}",
            f"""UPDATE read.balances SET credits_posted = credits_posted + 500 WHERE {CAROL}
            RETURNING {CAROLS_LAST} AS position, account_id""",
        ),
        remedy=Remedy.REBUILD,
        reconcile=frozenset({K.BALANCE_DRIFT, K.COMMAND_DRIFT}),
    ),
)

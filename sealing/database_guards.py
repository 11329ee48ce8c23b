"""What PostgreSQL itself should refuse: are the log's triggers there, and rights as given?

A superuser can turn the guards off and on again, so finding them on proves nothing. Finding them
off shows that somebody is about to change history, or has just done so.
"""

import hashlib

from runtime.database import Executor
from runtime.sql import queries
from sealing.findings import Finding, FindingKind

SQL = queries("sealing")
# Before, each statement; UPDATE, DELETE, TRUNCATE (pg_trigger.h).
EVENTS = 2 | 8 | 16 | 32
# Of the function's source in daybook/migrations/0002_log.sql.
SOURCE_SHA256 = "91e36ac52c53607a009312413012707989a8352e33517badec8b41e41cc56dce"


async def look(connection: Executor) -> list[Finding]:
    """Return what is off."""
    trigger = await connection.fetchrow(SQL["guards"])
    found: list[Finding] = []
    if trigger is None or not trigger["enabled"]:
        state = "gone" if trigger is None else "disabled"
        found.append(
            Finding(
                kind=FindingKind.TRIGGERS_DISABLED,
                expected="enabled always",
                actual=state,
                explanation=(
                    f"The trigger that keeps the log unchangeable is {state}: the database's owner "
                    "can change and delete events right now."
                ),
            )
        )
    elif (trigger["events"], _digest(trigger["source"])) != (EVENTS, SOURCE_SHA256):
        found.append(
            Finding(
                kind=FindingKind.TRIGGER_ALTERED,
                explanation=(
                    "The trigger that keeps the log unchangeable is not the one that Daybook made: "
                    "it may let changes through."
                ),
            )
        )
    found += [
        Finding(
            kind=FindingKind.RIGHTS_EXCESSIVE,
            actual=row["rights"],
            explanation=(
                f"The role {row['role']} has more rights than its work needs: {row['rights']} "
                "on the log."
            ),
        )
        for row in await connection.fetch(SQL["excessive_rights"])
    ]
    return found


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()

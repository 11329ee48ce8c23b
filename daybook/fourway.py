"""The four-way view from the command line: one report, with a sentence for each of the sides."""

from typing import Any

from daybook.progress import progress
from events import schema as schemas
from events.schema import Schema
from projections.auditing import fourway
from projections.auditing.fourway import Entries, External, FourWay, OfAccount, Side
from projections.auditing.reconcile import ROLE
from projections.external.summary import Sums
from projections.external.views import amount
from runtime import database
from runtime.problems import NotFound
from runtime.settings import Settings

Shown = dict[str, Any]
LINE_STATES = ("accepted", "proposed", "unmatched")


async def report(settings: Settings, ledger: str) -> Shown:
    """Return the four sides of a ledger, to be shown. Raises NotFound, Unavailable."""
    schema = schemas.load(settings.schema_file)
    connection = await database.connect(settings.database_url, ROLE)
    try:
        with progress("folding") as bar:
            found = await fourway.view(connection, ledger, settings.lag_s_max, bar)
    except database.CONNECTION_ERRORS as error:
        raise database.unavailable(error) from error
    finally:
        connection.terminate()
    if not found.account_count:
        raise NotFound("ledger_not_found", f"The log has no ledger {ledger!r}.")
    return shown(found, schema)


def shown(found: FourWay, schema: Schema) -> Shown:
    """Return a report with amounts in units and in minor units, and its verdicts."""
    verdicts = {
        "log": _of_log(found),
        "read_models": _of_read_models(found),
        "published": _of_published(found),
        "external": _of_external(found),
    }
    return {
        "ledger": found.ledger,
        "status": "CLEAN" if all(fine for fine, _ in verdicts.values()) else "DISCREPANCIES",
        "position": found.position,
        "head": found.head,
        "timestamp": found.at,
        "verdicts": {
            side: {"agrees": fine, "explanation": said} for side, (fine, said) in verdicts.items()
        },
        "log": _totals(found.log, schema),
        "read_models": _totals(found.read_models, schema),
        "published": {
            "position": found.published.position,
            "waiting": found.published.waiting,
            "since": found.published.since,
        },
        "accountCount": found.account_count,
        "accounts": [_account(account, schema) for account in found.accounts],
    }


def as_text(report: Shown) -> str:
    """Return a report for people: the totals, the accounts that have something to say, verdicts."""
    said = [
        (
            f"ledger {report['ledger']} at position {report['position']:,} of {report['head']:,}, "
            f"{report['accountCount']:,} accounts"
        ),
        *_table(report),
    ]
    for account in report["accounts"]:
        said.append(f"{account['account_id']}:")
        said += [
            f"  {name:<12} {_counters(account[name])}"
            for name in ("log", "read_models")
            if not account["agrees"]
        ]
        if account["external"] is not None:
            said += _statements(account["external"])
    said += [
        f"{'ok ' if verdict['agrees'] else '!! '}{side:<12} {verdict['explanation']}"
        for side, verdict in report["verdicts"].items()
    ]
    return "\n".join([*said, "clean" if report["status"] == "CLEAN" else "discrepancies"])


def _of_log(found: FourWay) -> tuple[bool, str]:
    if found.missing is not None:
        return False, f"The log has no event at position {found.missing}: restore it."
    uneven = [currency for currency, sums in found.log.items() if sums.debits != sums.credits]
    if uneven:
        return False, f"Debits and credits of the log differ in {', '.join(uneven)}."
    return True, "No position is missing, and debits equal credits in every currency."


def _of_read_models(found: FourWay) -> tuple[bool, str]:
    differing = [each.account_id for each in found.accounts if not each.projected]
    if not differing:
        return True, f"All {found.account_count:,} accounts show what the log says."
    return False, (
        f"{len(differing):,} of {found.account_count:,} accounts do not show what the log says; "
        f"`daybook reconcile --ledger {found.ledger}` names each row."
    )


def _of_published(found: FourWay) -> tuple[bool, str]:
    published = found.published
    if published.position > found.head:
        return False, (
            f"Events up to position {published.position} were published; the log ends at "
            f"{found.head}."
        )
    if not published.waiting:
        return True, "Every event of the ledger is published."
    return not published.late, (
        f"{published.waiting:,} events are not published yet, the first was recorded at "
        f"{published.since}."
    )


def _of_external(found: FourWay) -> tuple[bool, str]:
    stated = [each for each in found.accounts if each.external is not None]
    if not stated:
        return True, "No statement was imported."
    differing = [
        f"{each.account_id} ({_left(each.external)})"
        for each in stated
        if each.external is not None and not each.external.agrees
    ]
    if not differing:
        return True, f"The statements of {len(stated):,} accounts agree with the ledger."
    return False, f"Statements do not agree yet: {'; '.join(differing)}."


def _left(external: External) -> str:
    """Return what keeps an account's statements from agreeing, in words."""
    counts = (
        (external.lines.unmatched.count, "lines that the ledger does not have"),
        (external.entries.count, "entries that no statement has"),
        (external.lines.proposed.count, "lines whose match waits for a person"),
    )
    said = [f"{what}: {count:,}" for count, what in counts if count]
    if external.closing not in (None, external.ledger_closing):
        said.append(f"the balance on {external.ends_on} is another")
    return ", ".join(said)


def _account(account: OfAccount, schema: Schema) -> Shown:
    external = account.external
    return {
        "account_id": account.account_id,
        "agrees": account.projected,
        "log": _side(account.log, schema),
        "read_models": _side(account.read_models, schema),
        "external": None if external is None else _external(external, schema),
    }


def _side(side: Side | None, schema: Schema) -> Shown | None:
    """Return an account on one side; None if that side has no such account."""
    if side is None:
        return None
    decimals = _decimals(side.currency, schema)
    told: Shown = {"currency": side.currency}
    for name, minor in side.counters.items():
        told |= amount(name, minor, decimals)
    return told | {"entries": _entries(side.entries, decimals)}


def _external(external: External, schema: Schema) -> Shown:
    decimals = schema.decimals(external.lines.currency)
    return {
        "currency": external.lines.currency,
        "agrees": external.agrees,
        "starts_on": external.starts_on,
        "ends_on": external.ends_on,
        **amount("closing_balance", external.closing, decimals),
        **amount("ledger_balance", external.ledger_closing, decimals),
        "lines": {state: _sums(getattr(external.lines, state), decimals) for state in LINE_STATES},
        "unmatched_entries": _sums(external.entries, decimals),
    }


def _sums(sums: Sums, decimals: int) -> Shown:
    return {
        "count": sums.count,
        **amount("incoming", sums.incoming, decimals),
        **amount("outgoing", sums.outgoing, decimals),
    }


def _entries(entries: Entries, decimals: int) -> Shown:
    return {
        "count": entries.count,
        **amount("debits", entries.debits, decimals),
        **amount("credits", entries.credits, decimals),
    }


def _totals(totals: dict[str, Entries], schema: Schema) -> Shown:
    return {
        currency: _entries(sums, _decimals(currency, schema))
        for currency, sums in sorted(totals.items())
    }


def _decimals(currency: str, schema: Schema) -> int:
    """Return a currency's decimals; of a row that has lost its currency, minor units are shown."""
    return schema.decimals(currency) if currency else 0


def _table(report: Shown) -> list[str]:
    return [
        f"{side:<12} {currency or '?':<4} {sums['count']:>12,} entries  "
        f"debits {_plain(sums['debits'])}  credits {_plain(sums['credits'])}"
        for side in ("log", "read_models")
        for currency, sums in report[side].items()
    ]


def _counters(side: Shown | None) -> str:
    if side is None:
        return "no such account"
    return (
        f"{side['entries']['count']:,} entries, posted {_plain(side['debits_posted'])} / "
        f"{_plain(side['credits_posted'])}, pending {_plain(side['debits_pending'])} / "
        f"{_plain(side['credits_pending'])} (debits / credits)"
    )


def _statements(external: Shown) -> list[str]:
    sums = {**external["lines"], "not stated": external["unmatched_entries"]}
    closing = external["closing_balance"]
    return [
        (
            f"  statements   {external['starts_on']} to {external['ends_on']} in "
            f"{external['currency']}, closing {'unknown' if closing is None else _plain(closing)}, "
            f"ledger {_plain(external['ledger_balance'])}"
        ),
        *(
            f"  {name:<12} {each['count']:>6,}  in {_plain(each['incoming'])}"
            f"  out {_plain(each['outgoing'])}"
            for name, each in sums.items()
        ),
    ]


def _plain(raw: Any) -> str:  # noqa: ANN401 - an exact JSON number
    return bytes(raw).decode()

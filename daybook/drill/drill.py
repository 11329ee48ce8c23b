"""`daybook drill`: corrupt a loaded, throw-away Daybook in every known way, one way at a time.

    tamper ──▶ reconcile and verify name and locate it ──▶ remedy ──▶ both find nothing,
                                                                      every row is as before

A corruption fails the drill if it is not found, if it is found at another position, or if something
else is found too. The first check is of the untouched log: a false alarm ends the drill.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from auditing.discrepancies import DiscrepancyKind
from auditing.reconcile.reconcile import Report
from daybook.drill import load, on_history, on_views, on_workers
from daybook.drill.corruption import Corruption, Location, Remedy
from daybook.drill.load import DrillError
from daybook.drill.sandbox import Sandbox, opened
from daybook.embedded.supervisor import StartError
from daybook.embedded.up import COULD_NOT_RUN, PROGRAMS, embedded
from daybook.migrations.migrate import migrate
from sealing.findings import Verdict

CORRUPTIONS: tuple[Corruption, ...] = (
    *on_workers.CORRUPTIONS,
    *on_views.CORRUPTIONS,
    *on_history.CORRUPTIONS,
    *on_workers.LAST_CORRUPTIONS,
)
OF_WRITER = {
    DiscrepancyKind.COMMAND_DRIFT,
    DiscrepancyKind.COMMAND_STANDING_DRIFT,
    DiscrepancyKind.COMMAND_BOOKS_DRIFT,
}


class Result(msgspec.Struct, kw_only=True):
    """The result of one corruption; `problems` names every expectation that was not met."""

    number: int
    case: str
    story: str
    found_by: list[str] = []
    kinds: list[str] = []
    position: int | None = None
    put_right_by: str = ""
    problems: list[str] = []
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether it was found, named, located and remedied, or rightly had no effect."""
        return not self.problems


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a drill."""

    events: int
    results: list[Result]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every corruption passed."""
        return all(result.passed for result in self.results)


async def drill(
    *, transfers: int, as_json: bool, corruptions: Sequence[Corruption] = CORRUPTIONS
) -> int:
    """Run the drill and print its results; return the exit code."""
    console = Console(quiet=as_json)
    try:
        done = await run(transfers, corruptions, console)
    except (StartError, DrillError) as error:
        Console(stderr=True).print(f"daybook: {error}", markup=False)
        return COULD_NOT_RUN
    if as_json:
        document = msgspec.to_builtins(done) | {"passed": done.passed}
        print(msgspec.json.encode(document).decode())  # noqa: T201 - the command's output
    else:
        _sum_up(console, done)
    return 0 if done.passed else 1


async def run(transfers: int, corruptions: Sequence[Corruption], console: Console) -> Drill:
    """Start Daybook, load it, and try every corruption. Raises StartError, DrillError."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="daybook-checkpoints-") as folder:
        programs = [
            msgspec.structs.replace(program, env={"DAYBOOK_SEAL_CHECKPOINTS": folder})
            if program.name == "seal"
            else program
            for program in PROGRAMS
        ]
        async with (
            embedded(Path(), 0, ephemeral=True, programs=programs, prepare=_migrated) as service,
            opened(service, Path(folder)) as sandbox,
        ):
            await load.write(service.database_url, transfers)
            await sandbox.settled()
            await _check_untouched(sandbox)
            events = await sandbox.head()
            elapsed = time.monotonic() - started
            console.print(f"{events:,} events, untouched: nothing is found ({elapsed:.1f} s).\n")
            _row(console, "#", "case", "found by", "as", "position", "put right by")
            results = []
            for number, corruption in enumerate(corruptions, 1):
                with console.status(f"{number} of {len(corruptions)}: {corruption.name}"):
                    results.append(await tried(sandbox, number, corruption))
                _show(console, results[-1])
    return Drill(events=events, results=results, seconds=time.monotonic() - started)


async def _migrated(database_url: str) -> None:
    """Migrate, and seed nothing: the drill loads its own ledgers."""
    await migrate(database_url)


async def tried(sandbox: Sandbox, number: int, corruption: Corruption) -> Result:
    """Do one corruption, remedy it, and return the result."""
    started = time.monotonic()
    result = Result(number=number, case=corruption.name, story=corruption.story)
    async with sandbox.paused(corruption.pauses):
        location = await corruption.tamper(sandbox)
        if corruption.pauses is None and corruption.remedy is Remedy.REPLAY:
            await sandbox.settled()
        report, verdict = await sandbox.reconciled(), await sandbox.verified()
        judge(corruption, location, report, verdict, result)
        refused = corruption.remedy is not Remedy.RESTORE or await sandbox.refuses_repair()
        if corruption.pauses is not None and corruption.remedy is not Remedy.REPLAY:
            await _put_right(sandbox, corruption)
    if corruption.pauses is None:
        await _put_right(sandbox, corruption)
    if not refused:
        result.problems.append("repair changed views although the log or its seal was attacked")
        await sandbox.rebuilt()
    result.put_right_by = "–" if _harmless(corruption) else corruption.remedy.value
    await _check_afterwards(sandbox, corruption, result)
    result.seconds = time.monotonic() - started
    return result


async def _put_right(sandbox: Sandbox, corruption: Corruption) -> None:
    match corruption.remedy:
        case Remedy.REPAIR:
            await sandbox.repaired()
        case Remedy.REBUILD:
            await sandbox.rebuilt()
            # A rebuild leaves the writer's rows alone; repair corrects them.
            await sandbox.repaired()
        case Remedy.RESTORE:
            await sandbox.restore()
        case Remedy.REPLAY:
            pass  # The worker that was behind continues by itself.


async def _check_untouched(sandbox: Sandbox) -> None:
    report, verdict = await sandbox.reconciled(), await sandbox.verified()
    if not report.clean or not verdict.intact:
        found = [each.explanation for each in report.discrepancies]
        found += [each.explanation for each in verdict.findings]
        raise DrillError(f"a false alarm on an untouched log: {found[0]}")
    await sandbox.remember()


async def _check_afterwards(sandbox: Sandbox, corruption: Corruption, result: Result) -> None:
    """Check that nothing is found, and that every row is as before unless the log has grown."""
    if corruption.remedy is Remedy.REPLAY or corruption.pauses:
        await sandbox.settled()
    report, verdict = await sandbox.reconciled(), await sandbox.verified()
    left = [*report.kinds, *(finding.kind for finding in verdict.findings)]
    if left:
        result.problems.append(f"still found afterwards: {', '.join(sorted(set(left)))}")
    if corruption.grows:
        await sandbox.remember()
    elif changed := await sandbox.changed_views():
        result.problems.append(f"not as before: {', '.join(changed)}")


def judge(
    corruption: Corruption, location: Location, report: Report, verdict: Verdict, result: Result
) -> None:
    """Compare what was found with what had to be found."""
    seen = {finding.kind for finding in verdict.findings}
    result.kinds = sorted({*report.kinds, *seen})
    result.found_by = [
        name
        for name, count in (("reconcile", report.discrepancy_count), ("verify", len(seen)))
        if count
    ]
    first = _first(report)
    result.position = first if first is not None else verdict.position
    _expect(result, "reconcile finds", set(report.kinds), {*corruption.reconcile})
    _expect(result, "verify finds", {*seen}, {*corruption.verify})
    if corruption.reconcile:
        _expect(result, "the first position of reconcile is", first, location.position)
        there = [each for each in report.discrepancies if each.position == location.position]
        _look_for(result, "account", location.account_id, [each.account_id for each in there])
        ids = [each.transaction_id for each in there]
        _look_for(result, "transaction", location.transaction_id, ids)
    if corruption.verify:
        wanted = location.sealed_position or location.position
        _expect(result, "the first position of verify is", verdict.position, wanted)


def _first(report: Report) -> int | None:
    """Return the first position that differs.

    A row of the writer only names the last event that moved it, so other rows are preferred.
    """
    found = report.discrepancies
    precise = [each for each in found if each.kind not in OF_WRITER] or found
    return min((each.position for each in precise), default=None)


def _expect(result: Result, what: str, found: object, wanted: object) -> None:
    if found != wanted:
        result.problems.append(f"{what} {_shown(found)} instead of {_shown(wanted)}")


def _shown(value: object) -> str:
    if isinstance(value, set):
        return ", ".join(sorted(value)) or "nothing"
    return str(value)


def _look_for(result: Result, what: str, wanted: object, found: Sequence[object]) -> None:
    if wanted is not None and wanted not in found:
        result.problems.append(f"the {what} {wanted} is not named")


def _harmless(corruption: Corruption) -> bool:
    return not corruption.reconcile and not corruption.verify


def _show(console: Console, result: Result) -> None:
    mark = "[green]✓[/]" if result.passed else "[bold red]✗[/]"
    _row(
        console,
        str(result.number),
        result.case,
        ", ".join(result.found_by) or "no effect",
        result.kinds[0] + (f" (+{len(result.kinds) - 1})" if result.kinds[1:] else "")
        if result.kinds
        else "",
        str(result.position or "–"),
        f"{result.put_right_by:<8} {result.seconds:4.1f} s {mark}",
    )
    for problem in result.problems:
        console.print(f"     [red]{problem}[/]", soft_wrap=True)


def _row(console: Console, *cells: str) -> None:
    number, name, by, kind, position, right = cells
    console.print(
        f"{number:>3}  {name:<41}  {by:<17}  {kind:<33}  {position:>8}  {right}",
        highlight=False,
        soft_wrap=True,
    )


def _sum_up(console: Console, done: Drill) -> None:
    passed = sum(result.passed for result in done.results)
    harmless = sum(result.passed and not result.found_by for result in done.results)
    console.print(
        f"\n[bold]{passed} of {len(done.results)} found, named, located and put right"
        f"[/] ({harmless} of them had no effect, as they must), in {done.seconds:.1f} s",
        highlight=False,
    )

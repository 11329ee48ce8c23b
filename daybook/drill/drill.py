"""`daybook drill`: damage a loaded, throw-away Daybook in every way we know, one at a time.

    tamper ──▶ reconcile and verify name it, at its place ──▶ put right ──▶ both find nothing,
                                                                            every row is as before

A case fails if anything else is found than just what must be, or at another place. The first check
is of the untouched log: a false alarm ends the drill.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from auditing.discrepancies import Kind
from auditing.reconcile.reconcile import Report
from daybook.drill import load, on_history, on_views, on_workers
from daybook.drill.corruption import Case, Remedy, Spot
from daybook.drill.load import DrillError
from daybook.drill.sandbox import Site, site
from daybook.embedded.supervisor import StartError
from daybook.embedded.up import COULD_NOT_RUN, PROGRAMS, embedded
from daybook.migrations.migrate import migrate
from sealing.findings import Verdict

CASES: tuple[Case, ...] = (
    *on_workers.CASES,
    *on_views.CASES,
    *on_history.CASES,
    *on_workers.LAST_CASES,
)
OF_WRITER = {Kind.COMMAND_DRIFT, Kind.COMMAND_STANDING_DRIFT, Kind.COMMAND_BOOKS_DRIFT}


class Result(msgspec.Struct, kw_only=True):
    """What became of a case; `problems` say what was not as it must be."""

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
        """Whether it was found, named, located and put right; or had no effect, as it must."""
        return not self.problems


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """A whole drill."""

    events: int
    results: list[Result]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every case did."""
        return all(result.passed for result in self.results)


async def drill(*, transfers: int, as_json: bool, cases: Sequence[Case] = CASES) -> int:
    """Run the drill and say how it went; return 0 if every case passed, 1 if not, 2 if not run."""
    console = Console(quiet=as_json)
    try:
        done = await run(transfers, cases, console)
    except (StartError, DrillError) as error:
        Console(stderr=True).print(f"daybook: {error}", markup=False)
        return COULD_NOT_RUN
    if as_json:
        document = msgspec.to_builtins(done) | {"passed": done.passed}
        print(msgspec.json.encode(document).decode())  # noqa: T201 - the command's output
    else:
        _sum_up(console, done)
    return 0 if done.passed else 1


async def run(transfers: int, cases: Sequence[Case], console: Console) -> Drill:
    """Start everything, load it, and do the cases. Raises StartError, DrillError."""
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
            site(service, Path(folder)) as here,
        ):
            await load.write(service.database_url, transfers)
            await here.settled()
            await _check_untouched(here)
            events = await here.head()
            elapsed = time.monotonic() - started
            console.print(f"{events:,} events, untouched: nothing is found ({elapsed:.1f} s).\n")
            _row(console, "#", "case", "found by", "as", "position", "put right by")
            results = []
            for number, case in enumerate(cases, 1):
                with console.status(f"{number} of {len(cases)}: {case.name}"):
                    results.append(await tried(here, number, case))
                _show(console, results[-1])
    return Drill(events=events, results=results, seconds=time.monotonic() - started)


async def _migrated(database_url: str) -> None:
    """Nothing is seeded: the drill brings its own."""
    await migrate(database_url)


async def tried(here: Site, number: int, case: Case) -> Result:
    """Do one case, put it right, and say what was not as it must be."""
    started = time.monotonic()
    result = Result(number=number, case=case.name, story=case.story)
    async with here.paused(case.pauses):
        spot = await case.tamper(here)
        if case.pauses is None and case.remedy is Remedy.REPLAY:
            await here.settled()
        report, verdict = await here.reconciled(), await here.verified()
        judge(case, spot, report, verdict, result)
        refused = case.remedy is not Remedy.RESTORE or await here.refuses_repair()
        if case.pauses is not None and case.remedy is not Remedy.REPLAY:
            await _put_right(here, case)
    if case.pauses is None:
        await _put_right(here, case)
    if not refused:
        result.problems.append("repair changed views, though the truth was attacked")
        await here.rebuilt()
    result.put_right_by = "–" if _harmless(case) else case.remedy.value
    await _check_afterwards(here, case, result)
    result.seconds = time.monotonic() - started
    return result


async def _put_right(here: Site, case: Case) -> None:
    match case.remedy:
        case Remedy.REPAIR:
            await here.repaired()
        case Remedy.REBUILD:
            await here.rebuilt()
            # What of the writer's rows is wrong has nothing to agree with any more.
            await here.repaired()
        case Remedy.RESTORE:
            await here.restore()
        case Remedy.REPLAY:
            pass  # Whoever was behind goes on by itself.


async def _check_untouched(here: Site) -> None:
    report, verdict = await here.reconciled(), await here.verified()
    if not report.clean or not verdict.intact:
        found = [each.explanation for each in report.discrepancies]
        found += [each.explanation for each in verdict.findings]
        raise DrillError(f"a false alarm over an untouched log: {found[0]}")
    await here.remember()


async def _check_afterwards(here: Site, case: Case, result: Result) -> None:
    """Both find nothing, and every row is as it was; a log that grew is the new truth."""
    if case.remedy is Remedy.REPLAY or case.pauses:
        await here.settled()
    report, verdict = await here.reconciled(), await here.verified()
    left = [*report.kinds, *(finding.kind for finding in verdict.findings)]
    if left:
        result.problems.append(f"still found afterwards: {', '.join(sorted(set(left)))}")
    if case.grows:
        await here.remember()
    elif changed := await here.changed_views():
        result.problems.append(f"not as before: {', '.join(changed)}")


def judge(case: Case, spot: Spot, report: Report, verdict: Verdict, result: Result) -> None:
    """Compare what was found with what had to be."""
    seen = {finding.kind for finding in verdict.findings}
    result.kinds = sorted({*report.kinds, *seen})
    result.found_by = [
        name
        for name, count in (("reconcile", report.discrepancy_count), ("verify", len(seen)))
        if count
    ]
    first = _first(report)
    result.position = first if first is not None else verdict.position
    _expect(result, "reconcile finds", set(report.kinds), {*case.reconcile})
    _expect(result, "verify finds", {*seen}, {*case.verify})
    if case.reconcile:
        _expect(result, "the first position of reconcile is", first, spot.position)
        there = [each for each in report.discrepancies if each.position == spot.position]
        _look_for(result, "account", spot.account_id, [each.account_id for each in there])
        ids = [each.transaction_id for each in there]
        _look_for(result, "transaction", spot.transaction_id, ids)
    if case.verify:
        wanted = spot.sealed_position or spot.position
        _expect(result, "the first position of verify is", verdict.position, wanted)


def _first(report: Report) -> int | None:
    """Return the first position that differs.

    A row of the writer's only tells which event moved it last: whatever else differs says more.
    """
    found = report.discrepancies
    telling = [each for each in found if each.kind not in OF_WRITER] or found
    return min((each.position for each in telling), default=None)


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


def _harmless(case: Case) -> bool:
    return not case.reconcile and not case.verify


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
    number, case, by, kind, position, right = cells
    console.print(
        f"{number:>3}  {case:<41}  {by:<17}  {kind:<33}  {position:>8}  {right}",
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

"""Run the measures in their order, and keep the result of each.

    peers    pgbench TPC-B (before and after everything, because machines drift), the recorder and
             runner of the eventsourcing library, pgledger if its SQL was given
    in turn  TPC-B, pgledger and singles alternate, a few seconds each
    singles  closed loop over 64 connections between 10,000 accounts and between 2, and over 512;
             an open loop at 70 % of the highest of these rates, the peak
    batches  5,000 and 500 a request; 500 also between 2 accounts, and also audited and sealed
    engine   appending and projecting without HTTP, by the length of the log
    idle     some seconds without requests
    overload four times the peak

The resources that the singles and the batches of 500 use are counted before and after them.
"""

import time
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console

from benchmarks import environment, machine
from benchmarks.environment import Bench
from benchmarks.measures import (
    auditing,
    batches,
    engine,
    idle,
    in_turn,
    overload,
    singles,
    singles_by_wrk,
    sweeps,
    usage_rows,
)
from benchmarks.peers import pgbench, pgledger, recorder, tpcb
from benchmarks.result import Row, Run, Sizes
from benchmarks.usage import Usage, read_usage

T = TypeVar("T")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run: its sizes, files of pgledger, a wrk program, and sweeps for plots."""

    sizes: Sizes
    pgledger: Sequence[Path] = ()
    wrk: str | None = None
    sweeps: bool = False


class RunInProgress:
    """A run under way: its results so far, and its progress on standard error."""

    def __init__(self, options: Options, described: dict[str, str]) -> None:
        self._options = options
        self._sizes = options.sizes
        self._console = Console(stderr=True)
        self._began = time.perf_counter()
        self.run = Run(
            machine=described, started_at=datetime.now(UTC), seconds=0.0, sizes=options.sizes
        )

    async def everything(self) -> Run:
        """Measure all rows, in the order of the table."""
        async with environment.running() as bench:
            await self._step("preparing", tpcb.prepare(bench))
            before = await self._step("pgbench TPC-B", tpcb.measure(bench, self._sizes))
            self.run.rows.append(before)
            await self._peers(bench)
            await self._step("opening accounts", batches.open_accounts(bench))
            await self._in_turn(bench)
            await self._singles(bench)
            await self._batches(bench)
            await self._length(bench)
            await self._idle(bench)
            await self._overload(bench)
            if self._options.sweeps:
                await self._swept(bench)
            after = await self._step("pgbench TPC-B again", tpcb.measure(bench, self._sizes))
            self.run.rows[0] = _mean(before, after)
        if self._options.sweeps:
            self.run.sweeps.append(
                await self._step("by API processes", sweeps.by_processes(self._sizes))
            )
        if self._sizes.audited_transfers:
            await self._audited()
        self.run.seconds = time.perf_counter() - self._began
        return self.run

    async def audit(self) -> Run:
        """Measure only the cost of auditing, by the length of the log."""
        with self._console.status("auditing …") as status:
            costs = await auditing.measure(
                self._sizes.audited_transfers, lambda step: status.update(f"auditing: {step} …")
            )
        self.run.audit = {size: auditing.figures(of_size) for size, of_size in costs.items()}
        return self.run

    async def lengths(self) -> Run:
        """Measure only the engine's rate by the length of the log."""
        async with environment.running() as bench:
            await self._length(bench)
        self.run.seconds = time.perf_counter() - self._began
        return self.run

    async def _peers(self, bench: Bench) -> None:
        await self._rows("eventsourcing", recorder.measure(bench, self._sizes))
        if self._options.pgledger:
            await pgledger.prepare(bench, self._options.pgledger)
            await self._rows("pgledger", pgledger.measure(bench, self._sizes))
            await pgledger.drop(bench)

    async def _in_turn(self, bench: Bench) -> None:
        measuring = in_turn.measure(bench, self._options.pgledger, self._sizes)
        await self._rows("singles and peers, in turn", measuring)

    async def _singles(self, bench: Bench) -> None:
        before = await read_usage(bench)
        await self._rows("singles", singles.measure(bench, self._sizes))
        used = await self._used(bench, singles.KEY, before)
        if self._options.wrk is not None:
            measuring = singles_by_wrk.measure(bench, self._options.wrk, self._sizes)
            await self._rows("singles, by wrk", measuring)
        await self._rows("singles, 2 accounts", singles.hot(bench, self._sizes))
        await self._rows("singles, many connections", singles.many(bench, self._sizes))
        steady = singles.steady(bench, self._sizes, singles.peak(self.run).rate)
        await self._rows("singles, 70 % of the peak", steady)
        self.run.rows += usage_rows.rows(singles.KEY, "HTTP, a transfer a request", used)

    async def _batches(self, bench: Bench) -> None:
        transfers = self._sizes.batch_transfers
        name = "HTTP, 5,000 a request"
        large = batches.measure(bench, "batch-5000", name, transfers=transfers, size=batches.LARGE)
        await self._rows(name, large)
        before, name = await read_usage(bench), "HTTP, 500 a request"
        await self._rows(name, batches.measure(bench, batches.KEY, name, transfers=transfers))
        used = await self._used(bench, batches.KEY, before)
        hot = batches.measure(
            bench, "batch-500-hot", "  between 2 accounts", transfers=transfers, accounts=1
        )
        await self._rows("batches, 2 accounts", hot)
        self.run.rows += usage_rows.rows(batches.KEY, name, used)
        self.run.rows += usage_rows.disk(used, transfers)

    async def _length(self, bench: Bench) -> None:
        sweep = await self._step("engine, by the log", engine.by_length(bench, self._sizes))
        self.run.sweeps.append(sweep)
        self.run.rows += engine.rows(sweep)

    async def _idle(self, bench: Bench) -> None:
        self.run.usage["idle"], rows = await self._step("idle", idle.measure(bench, self._sizes))
        self.run.rows += rows

    async def _overload(self, bench: Bench) -> None:
        peak = singles.peak(self.run)
        for count in overload.CONNECTIONS:
            measuring = overload.measure(bench, self._sizes, peak, count)
            await self._rows(f"overload over {count:,} connections", measuring)

    async def _swept(self, bench: Bench) -> None:
        for name, sweep in (
            ("batch size", sweeps.by_batch_size),
            ("connections", sweeps.by_connections),
            ("accounts", sweeps.by_accounts),
        ):
            self.run.sweeps.append(await self._step(f"by {name}", sweep(bench, self._sizes)))

    async def _audited(self) -> None:
        async with environment.running(audited=True) as bench:
            await self._step("opening accounts", batches.open_accounts(bench))
            name = "HTTP, 500 a request, audited and sealed, too"
            transfers = self._sizes.batch_transfers
            measuring = batches.measure(bench, "batch-500-audited", name, transfers=transfers)
            await self._rows("batches, audited", measuring)
        await self.audit()

    async def _used(self, bench: Bench, key: str, before: Usage) -> Usage:
        """Return and keep the resources that a load used, until all readers have caught up."""
        await environment.wait_for_readers(bench)
        self.run.usage[key] = (await read_usage(bench)).since(before)
        return self.run.usage[key]

    async def _rows(self, name: str, work: Awaitable[Row | list[Row]]) -> None:
        rows = await self._step(name, work)
        self.run.rows += rows if isinstance(rows, list) else [rows]

    async def _step(self, name: str, work: Awaitable[T]) -> T:
        began = time.perf_counter()
        with self._console.status(f"measuring: {name} …"):
            done = await work
        now = time.perf_counter()
        self._console.print(f"{now - self._began:5.0f} s  {name} ({now - began:.0f} s)")
        return done


async def start(options: Options) -> RunInProgress:
    """Return a run that has measured nothing yet."""
    return RunInProgress(options, await machine.describe())


def _mean(before: Row, after: Row) -> Row:
    """Return the mean of both runs of TPC-B as one row."""
    assert before.figure is not None
    assert after.figure is not None
    note = f"{pgbench.CLIENTS} clients; {before.figure:,.0f} before, {after.figure:,.0f} after"
    mean = (before.figure + after.figure) / 2
    return msgspec.structs.replace(before, figure=mean, note=note)

"""Supervised child processes: started, watched, restarted, and all stopped at the end.

Promises: a child that dies is restarted after a bounded backoff, with one line in the log; `stop`
leaves no process behind, and on Linux neither does a `kill -9` of the supervisor.

    start ─▶ starting ─ready─▶ running ─exits─▶ backing off ─▶ running …
                │ exits, or not ready in time      │
                ▼                                  ▼
            StartError with the log's tail      stop: signal, bounded wait, SIGKILL
"""

import asyncio
import ctypes
import logging
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
PROBE_TIMEOUT_S = 2.0
POLL_S = 0.03
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
STEADY_S = 2.0  # A child that ran this long resets its backoff.
LOG_BYTES_MAX = 8 * 1024 * 1024
TAIL_BYTES = 4096
TAIL_LINES = 15

PR_SET_PDEATHSIG = 1
PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


class StartError(RuntimeError):
    """A process cannot start; the message says which, where, and what to do."""


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """How to run one child, and how to see that it is ready; None means as soon as it runs."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: Path
    log_file: Path
    ready: Callable[[], Awaitable[bool]] | None = None
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL


class Child(msgspec.Struct):
    """A spec and the process that runs it now."""

    spec: Spec
    process: subprocess.Popen[bytes]


class Supervisor:
    """Runs children in groups: a group starts together, and groups stop in reverse order.

    `on_change` gets all process ids by name whenever one changes. Use a supervisor from one thread
    that lives as long as the children, because Linux ties a child to the thread that started it.
    """

    def __init__(self, on_change: Callable[[dict[str, int]], None] | None = None) -> None:
        """Supervise nothing yet."""
        self._on_change = on_change
        self._groups: list[list[Child]] = []
        self._keepers: list[asyncio.Task[None]] = []

    def pids(self) -> dict[str, int]:
        """Return the current process id of every child, by name, in starting order."""
        return {child.spec.name: child.process.pid for group in self._groups for child in group}

    async def start(self, *specs: Spec) -> None:
        """Start `specs` together, return when all are ready, and keep them running from then on.

        Raises StartError if one exits or is not ready within START_TIMEOUT_S; call `stop` even
        then.
        """
        group: list[Child] = []
        self._groups.append(group)
        for spec in specs:
            group.append(Child(spec, spawn(spec)))  # noqa: PERF401 - `stop` must see each at once
        self._changed()
        await asyncio.gather(*(_wait_until_ready(child) for child in group))
        for child in group:
            _check_alive(child)
        self._keepers += [asyncio.create_task(self._keep_running(child)) for child in group]

    async def stop(self) -> None:
        """Stop every child, the last group first; return when no process is left."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers.clear()
        while self._groups:
            await asyncio.gather(*(_stop(child) for child in self._groups[-1]))
            self._groups.pop()

    async def _keep_running(self, child: Child) -> None:
        """Restart `child` whenever it exits, until `stop` cancels this."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            started_s = time.monotonic()
            code = await _exited(child.process)
            _sweep(child.process)
            if time.monotonic() - started_s >= STEADY_S:
                backoff_s = BACKOFF_FIRST_S
            log.warning(
                "%s (pid %d) %s; starting it again in %.1f s. Its log: %s",
                child.spec.name,
                child.process.pid,
                _ending(code),
                backoff_s,
                child.spec.log_file,
            )
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
            child.process = spawn(child.spec)
            self._changed()

    def _changed(self) -> None:
        if self._on_change:
            self._on_change(self.pids())


def spawn(spec: Spec) -> subprocess.Popen[bytes]:
    """Start one process in its own session, as its user, with its log, tied to this thread.

    It uses Popen because uvloop's subprocesses have no `user`. `preexec_fn` is safe: it is one
    system call through a pointer resolved at import, and takes no lock that a thread may hold.
    """
    _rotate(spec.log_file)
    group = pwd.getpwnam(spec.user).pw_gid if spec.user else None
    with spec.log_file.open("ab") as output:
        return subprocess.Popen(
            spec.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=spec.cwd,
            env=spec.env,
            user=spec.user,
            group=group,
            extra_groups=[] if spec.user else None,
            start_new_session=True,  # The terminal's Ctrl-C must reach the supervisor alone.
            preexec_fn=_leash(spec.orphan_signal),  # noqa: PLW1509 - see the docstring
        )


async def run(spec: Spec) -> None:
    """Run `spec` to its end. Raises StartError with the end of its log if it fails."""
    process = spawn(spec)
    try:
        code = await _exited(process)
    finally:
        _sweep(process)
        process.wait()
    if code != 0:
        raise StartError(f"{spec.name} {_ending(code)}.\n{tail(spec.log_file)}")


def tail(log_file: Path) -> str:
    """Return the path of `log_file` and its last lines."""
    text = log_file.read_bytes()[-TAIL_BYTES:].decode(errors="replace")
    lines = text.splitlines()[-TAIL_LINES:] or ["(empty)"]
    return "\n".join([f"The end of {log_file}:", *(f"  {line}" for line in lines)])


def _leash(orphan_signal: signal.Signals) -> Callable[[], None] | None:
    """Return the function with which a new child asks for `orphan_signal` when its parent dies.

    The kernel forgets the request when the user changes, so it is made after Popen's `user=`. A
    changed parent id shows that the parent died before the request.
    """
    if PRCTL is None:
        return None
    prctl, parent_pid, number = PRCTL, os.getpid(), int(orphan_signal)

    def leash() -> None:
        prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent_pid:
            os._exit(1)

    return leash


def _rotate(log_file: Path) -> None:
    """Rename a full log to NAME.log.1, which replaces the one before."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    if log_file.exists() and log_file.stat().st_size > LOG_BYTES_MAX:
        log_file.replace(log_file.with_name(log_file.name + ".1"))


async def _wait_until_ready(child: Child) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not await _answers(child.spec):
        _check_alive(child)
        if time.monotonic() > deadline_s:
            raise StartError(
                f"{child.spec.name} was not ready after {START_TIMEOUT_S:.0f} s.\n"
                f"{tail(child.spec.log_file)}"
            )
        await asyncio.sleep(POLL_S)


async def _answers(spec: Spec) -> bool:
    if spec.ready is None:
        return True
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return await spec.ready()
    except (OSError, TimeoutError):
        return False


def _check_alive(child: Child) -> None:
    code = child.process.poll()
    if code is not None:
        spec = child.spec
        raise StartError(f"{spec.name} did not start: it {_ending(code)}.\n{tail(spec.log_file)}")


async def _exited(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end by polling, which is portable and needs no thread."""
    while (code := process.poll()) is None:  # noqa: ASYNC110 - nothing here could set an event
        await asyncio.sleep(POLL_S)
    return code


async def _stop(child: Child) -> None:
    process, spec = child.process, child.spec
    process.send_signal(spec.stop_signal)
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await _exited(process)
    except TimeoutError:
        log.warning("%s did not stop within %.0f s; killing it", spec.name, STOP_TIMEOUT_S)
        process.kill()
        await _exited(process)
    _sweep(process)


def _sweep(process: subprocess.Popen[bytes]) -> None:
    """Kill the rest of the process's group, such as workers that outlived their parent."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    return f"was killed by {signal.Signals(-code).name}"

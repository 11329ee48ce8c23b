"""The supervisor starts, restarts and stops small real processes."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from daybook.embedded import supervisor
from daybook.embedded.supervisor import Spec, StartError, Supervisor
from tests.patience import patient_s

WAIT_S_MAX = 10.0
RESTART_S_MAX = 1.0
SLEEP = "import time; print('up'); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
PARENT = (
    "import subprocess, sys, time;"
    f"print(subprocess.Popen([sys.executable, '-c', {SLEEP!r}]).pid, flush=True); time.sleep(600)"
)
SUPERVISING = f"""
import asyncio, pathlib, sys
from daybook.embedded.supervisor import Spec, Supervisor

def spec(name):
    folder = pathlib.Path(sys.argv[1])
    argv = (sys.executable, "-c", {SLEEP!r})
    return Spec(name=name, argv=argv, env={{}}, cwd=folder, log_file=folder / name)

async def main():
    supervisor = Supervisor()
    await supervisor.start(spec("one"), spec("two"))
    await supervisor.start(spec("three"))
    print(*supervisor.pids().values(), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] != "Z"


async def wait_until(true: Callable[[], bool], within_s: float = WAIT_S_MAX) -> None:
    """Wait for a condition, at most `within_s` on an idle machine."""
    deadline_s = time.monotonic() + patient_s(within_s)
    while not true():
        assert time.monotonic() < deadline_s, "waited too long"
        await asyncio.sleep(0.02)


@pytest.fixture
def child(tmp_path: Path) -> Spec:
    """Return the spec of a child that sleeps, and is ready once it has printed."""
    log_file = tmp_path / "logs" / "child.log"

    async def has_spoken() -> bool:
        return log_file.read_text().endswith("\n")

    return Spec(
        name="child",
        argv=(sys.executable, "-u", "-c", SLEEP),
        env=dict(os.environ),
        cwd=tmp_path,
        log_file=log_file,
        ready=has_spoken,
    )


def running(spec: Spec, code: str) -> Spec:
    """Return `spec` with other code to run."""
    return msgspec.structs.replace(spec, argv=(sys.executable, "-u", "-c", code))


@pytest.fixture
async def supervised() -> AsyncIterator[Supervisor]:
    """Return a supervisor whose children are stopped after the test."""
    supervisor = Supervisor()
    yield supervisor
    await supervisor.stop()


async def test_stop_leaves_no_process(supervised: Supervisor, child: Spec) -> None:
    """A started child runs in its own session, and a stopped one is gone."""
    await supervised.start(child)
    pid = supervised.pids()["child"]
    assert os.getsid(pid) == pid
    await supervised.stop()
    assert not alive(pid)
    assert supervised.pids() == {}


async def test_groups_stop_in_reverse_order(supervised: Supervisor, child: Spec) -> None:
    """The last child may need all others, so it is stopped first."""
    order = child.cwd / "order"
    code = "import signal, sys, pathlib\ndef stop(*_):\n  pathlib.Path({order!r}).open('a')"
    code += ".write({name!r}); sys.exit()\nsignal.signal(signal.SIGTERM, stop)\n" + SLEEP
    for name in ("a", "b", "c"):
        spec = running(child, code.format(order=str(order), name=name))
        log_file = child.log_file.with_name(name)

        async def has_spoken(log_file: Path = log_file) -> bool:
            return log_file.read_text() != ""

        await supervised.start(
            msgspec.structs.replace(spec, name=name, log_file=log_file, ready=has_spoken)
        )
    await supervised.stop()
    assert order.read_text() == "cba"


async def test_crashed_child_is_back_within_a_second(
    child: Spec, caplog: pytest.LogCaptureFixture
) -> None:
    """A killed child is restarted, `on_change` gets its new id, and one line is logged."""
    seen: list[dict[str, int]] = []
    supervised = Supervisor(seen.append)
    try:
        await supervised.start(child)
        pid = supervised.pids()["child"]
        with caplog.at_level(logging.WARNING):
            os.kill(pid, signal.SIGKILL)
            await wait_until(lambda: supervised.pids()["child"] != pid, RESTART_S_MAX)
        assert alive(supervised.pids()["child"])
        assert [each["child"] for each in seen] == [pid, supervised.pids()["child"]]
        (record,) = caplog.records
        assert record.getMessage() == (
            f"child (pid {pid}) was killed by SIGKILL; starting it again in 0.1 s. "
            f"Its log: {child.log_file}"
        )
    finally:
        await supervised.stop()


async def test_backoff_grows_while_a_child_keeps_crashing(
    supervised: Supervisor, child: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backoff of a child that cannot run grows to a bound; the child is never given up."""
    monkeypatch.setattr(supervisor, "BACKOFF_MAX_S", 0.3)
    flag = child.cwd / "crash"
    code = f"import os, pathlib\nif pathlib.Path({str(flag)!r}).exists(): os._exit(3)\n{SLEEP}"
    await supervised.start(running(child, code))
    first_pid = supervised.pids()["child"]
    flag.touch()
    os.kill(first_pid, signal.SIGKILL)
    await asyncio.sleep(RESTART_S_MAX)
    flag.unlink()
    spoken = child.log_file.read_text().count("up")
    await wait_until(lambda: child.log_file.read_text().count("up") > spoken)


async def test_child_that_exits_at_start_shows_its_log(supervised: Supervisor, child: Spec) -> None:
    """The error names the child, its exit code and its log, and shows the log's last lines."""
    code = "import sys; [print('line', n) for n in range(100)]; sys.exit(7)"
    with pytest.raises(StartError) as caught:
        await supervised.start(msgspec.structs.replace(running(child, code), ready=_not_ready))
    message = str(caught.value)
    assert message.startswith("child did not start: it exited with code 7.\n")
    assert str(child.log_file) in message
    assert "line 99" in message
    assert "line 50" not in message


async def test_child_that_is_never_ready_is_an_error(
    supervised: Supervisor, child: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for readiness is bounded, and the child is stopped with the rest."""
    monkeypatch.setattr(supervisor, "START_TIMEOUT_S", 0.2)
    with pytest.raises(StartError, match="child was not ready after 0 s"):
        await supervised.start(msgspec.structs.replace(child, ready=_not_ready))
    pid = supervised.pids()["child"]
    await supervised.stop()
    assert not alive(pid)


async def test_child_that_ignores_its_stop_signal_is_killed(
    supervised: Supervisor, child: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that ignores its signal is killed."""
    monkeypatch.setattr(supervisor, "STOP_TIMEOUT_S", 0.2)
    await supervised.start(running(child, STUBBORN))
    pid = supervised.pids()["child"]
    await supervised.stop()
    assert not alive(pid)


async def test_workers_of_a_dead_child_go_with_it(supervised: Supervisor, child: Spec) -> None:
    """Processes that a killed child had started must not run beside its replacement."""
    await supervised.start(running(child, PARENT))
    grandchild = int(child.log_file.read_text().split()[0])
    os.kill(supervised.pids()["child"], signal.SIGKILL)
    await wait_until(lambda: not alive(grandchild))


async def test_full_log_is_set_aside_at_start(
    supervised: Supervisor, child: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full log is renamed at a start, and kept."""
    monkeypatch.setattr(supervisor, "LOG_BYTES_MAX", 3)
    child.log_file.parent.mkdir()
    child.log_file.write_text("before\n")
    await supervised.start(child)
    assert child.log_file.with_name("child.log.1").read_text() == "before\n"
    await wait_until(lambda: child.log_file.read_text() == "up\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of this")
async def test_killed_supervisor_leaves_no_children(tmp_path: Path) -> None:
    """`kill -9` of the supervisor ends all of its children."""
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 3
        assert all(alive(pid) for pid in pids)
        process.kill()
    await wait_until(lambda: not any(alive(pid) for pid in pids))


async def _not_ready() -> bool:
    return False

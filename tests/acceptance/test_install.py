"""Daybook as others install it: a wheel, in a virtual environment that has no checkout.

The packages that Daybook depends on come from this test's own environment, so nothing is
downloaded.
"""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.acceptance.driver import ROOT
from tests.patience import patient_s

ROOMS = (
    *("daybook", "auditing", "command_side", "projections", "query_side", "sealing"),
    *("bank_statements", "events", "web", "runtime"),
)
OFFLINE = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
WHERE = f"import {', '.join(ROOMS)}; print(*({', '.join(f'{room}.__file__' for room in ROOMS)}))"
COMMAND_S_MAX = 120.0


def did(*command: str | Path, cwd: Path) -> str:
    """Run a command that knows nothing of the checkout, and return what it prints."""
    ours = ("DAYBOOK_", "PYTHON", "VIRTUAL_ENV")
    env = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    finished = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=patient_s(COMMAND_S_MAX),
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ("wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", folder)
    did(sys.executable, "-m", "pip", *build, ROOT, cwd=folder)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an empty environment, and return the environment's folder."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    did(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv.parent)
    python = venv / "bin" / "python"
    did(sys.executable, "-m", "pip", "--python", python, "install", *OFFLINE, wheel, cwd=venv)
    packages = did(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=venv)
    # A path in a .pth file brings the packages in it, but not its own .pth files: no checkout.
    ours = "\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    (Path(packages.strip()) / "dependencies.pth").write_text(ours)
    return venv


def test_the_wheel_holds_every_room_with_its_types_and_the_documented_settings(wheel: Path) -> None:
    """Nothing else: neither tests nor benchmarks are installed."""
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        settings = archive.read("daybook/.env.example")
    assert {f"{room}/py.typed" for room in ROOMS} <= names
    folders = {name.partition("/")[0] for name in names}
    assert {name for name in folders if not name.endswith(".dist-info")} == set(ROOMS)
    assert settings == (ROOT / ".env.example").read_bytes()


def test_the_installed_command_runs_the_demo_from_another_folder(
    installed: Path, tmp_path: Path
) -> None:
    """Its code is the wheel's, and so is that of the processes that it starts."""
    found = did(installed / "bin" / "python", "-c", WHERE, cwd=tmp_path).split()
    assert len(found) == len(ROOMS)
    assert all(Path(file).is_relative_to(installed) for file in found), found
    demo = json.loads(did(installed / "bin" / "daybook", "demo", "--json", cwd=tmp_path))
    assert (demo["ok"], demo["problem"]) == (True, "")
    assert list(tmp_path.iterdir()) == []

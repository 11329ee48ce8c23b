"""The pages of docs/how-to, and the walk of README.md, are pasted into a shell and compared."""

import asyncio
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from daybook.embedded.up import Service, seal_key
from sealing import key_file
from tests.acceptance.documented_examples import matches, settled
from tests.acceptance.driver import API, COMMAND_S_MAX, ROOT, environment
from tests.patience import patient_s

FOLDER = ROOT / "docs/how-to"
SETTING = FOLDER / "README.md"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page != SETTING)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BETWEEN = "\x1e"
README, WALK = ROOT / "README.md", ROOT / "docs/curl-walk.sh"


class Step(NamedTuple):
    """Commands, and what the page shows below them."""

    commands: str
    shown: str


def steps(page: Path) -> list[Step]:
    """Return the blocks of commands of a page; each is followed by what comes back."""
    return _paired(BLOCK.findall(page.read_text(encoding="utf-8")), page)


def _paired(blocks: list[tuple[str, str]], page: Path) -> list[Step]:
    assert [kind for kind, _ in blocks[::2]] == ["sh"] * (len(blocks) // 2), page
    assert {kind for kind, _ in blocks[1::2]} <= {"json", "csv", "text"}, page
    return [
        Step(commands, shown)
        for (_, commands), (_, shown) in zip(blocks[::2], blocks[1::2], strict=True)
    ]


def walk() -> tuple[str, list[Step]]:
    """Return the setting of the README's walk, and its steps."""
    section = README.read_text(encoding="utf-8").partition("## A walk")[2].partition("\n## ")[0]
    (_, setting), *blocks = BLOCK.findall(section)
    return setting, _paired(blocks, README)


async def _pasted(service: Service, setting: str, steps: list[Step], folder: Path) -> list[str]:
    """Return what each block of commands prints, all in one shell that knows `daybook`."""
    program, desk = folder / "bin/daybook", folder / "desk"
    program.parent.mkdir()
    desk.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m daybook "$@"\n')
    program.chmod(0o700)
    (key, *_) = key_file.signers(str(seal_key(service.data)))
    script = setting + "".join(f"{step.commands}printf '{BETWEEN}'\n" for step in steps)
    process = await asyncio.create_subprocess_exec(
        *("bash", "-eu", "-c", script),
        cwd=desk,
        env=environment(
            service,
            API=f"{service.url}{API}",
            LOG_KEY=str(key.verifier),
            PATH=f"{program.parent}:/usr/local/bin:/usr/bin:/bin",
            NO_PROXY="*",
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(patient_s(COMMAND_S_MAX)):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().split(BETWEEN)[:-1]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the pages use curl")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
async def test_a_page_shows_what_comes_back(service: Service, page: Path, tmp_path: Path) -> None:
    """Answer by answer; `…` stands for anything."""
    ((_, setting),) = BLOCK.findall(SETTING.read_text(encoding="utf-8"))
    await _compare(service, setting, steps(page), tmp_path)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the walk uses curl")
async def test_the_walk_of_the_readme_shows_what_comes_back(
    service: Service, tmp_path: Path
) -> None:
    """Answer by answer, at the address of this service instead of the default one."""
    setting, steps = walk()
    default = "API=http://127.0.0.1:3000/api/v1\n"
    assert setting.startswith(default)
    await _compare(service, setting.removeprefix(default), steps, tmp_path)


def test_the_walk_of_the_readme_is_the_script() -> None:
    """`make walk` runs the commands that the README shows, in the same order."""
    _, steps = walk()
    commands = re.findall(r"(?:^(?!#|[A-Z]+=|curl\(\)).+\n)+", WALK.read_text(), re.MULTILINE)
    assert commands == [step.commands for step in steps]


async def _compare(service: Service, setting: str, steps: list[Step], folder: Path) -> None:
    answers = await _pasted(service, setting, steps, folder)
    for step, answered in zip(steps, answers, strict=True):
        assert matches(step.shown, answered), (
            f"{step.commands}\n{settled(step.shown)}\n{settled(answered)}"
        )


def test_every_page_is_in_the_list() -> None:
    """The first page links to all others."""
    linked = re.findall(r"\]\((\w[\w-]*\.md)\)", SETTING.read_text(encoding="utf-8"))
    assert {page.name for page in PAGES} == set(linked)

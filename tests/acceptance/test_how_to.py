"""The pages of docs/how-to are pasted into a shell, block by block, and show what comes back."""

import asyncio
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from daybook.embedded.up import Service, seal_key
from sealing import key_file
from tests.acceptance.documented import matches, settled
from tests.acceptance.driving import API, COMMAND_S_MAX, ROOT, environment
from tests.patience import patient_s

FOLDER = ROOT / "docs/how-to"
SETTING = FOLDER / "README.md"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page != SETTING)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BETWEEN = "\x1e"


class Step(NamedTuple):
    """Commands, and what the page shows below them."""

    commands: str
    shown: str


def steps(page: Path) -> list[Step]:
    """Return the blocks of commands of a page; each is followed by what comes back."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert [kind for kind, _ in blocks[::2]] == ["sh"] * (len(blocks) // 2), page
    assert {kind for kind, _ in blocks[1::2]} <= {"json", "csv", "text"}, page
    return [
        Step(commands, shown)
        for (_, commands), (_, shown) in zip(blocks[::2], blocks[1::2], strict=True)
    ]


async def _pasted(service: Service, page: Path, folder: Path) -> list[str]:
    """Return what each block of commands prints, all in one shell that knows `daybook`."""
    program, desk = folder / "bin/daybook", folder / "desk"
    program.parent.mkdir()
    desk.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m daybook "$@"\n')
    program.chmod(0o700)
    (key, *_) = key_file.signers(str(seal_key(service.data)))
    ((_, setting),) = BLOCK.findall(SETTING.read_text(encoding="utf-8"))
    script = setting + "".join(f"{step.commands}printf '{BETWEEN}'\n" for step in steps(page))
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
    answers = await _pasted(service, page, tmp_path)
    for step, answered in zip(steps(page), answers, strict=True):
        assert matches(step.shown, answered), (
            f"{step.commands}\n{settled(step.shown)}\n{settled(answered)}"
        )


def test_every_page_is_in_the_list() -> None:
    """The first page links to all others."""
    linked = re.findall(r"\]\((\w[\w-]*\.md)\)", SETTING.read_text(encoding="utf-8"))
    assert {page.name for page in PAGES} == set(linked)

"""The documents name files that exist, and link to pages and headings that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
RECORD_LINES_MAX = 40
README_LINES_MAX = 150
ROOMS = (
    *("daybook", "auditing", "command_side", "projections", "query_side", "sealing"),
    *("bank_statements", "events", "web", "runtime", "tests", "benchmarks", "docs"),
)
BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
# `room/module.py`, `room/folder/`, and `room/module.py: name`.
PLACE = re.compile(rf"`((?:{'|'.join(ROOMS)})/[\w./-]*)(?:: ([\w.]+))?`")
# A file by its name alone, such as `fair_queue.py`.
FILE = re.compile(r"`(?:\w+/)*([\w-]+\.(?:py|sql|toml))")
# Files of the reader's own, in examples.
ELSEWHERE = {"my-schema.toml"}


def _text(page: Path) -> str:
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = HEADING.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w -]", "", each.lower()).strip().replace(" ", "-") for each in headings}


def _broken_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(_text(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            yield link


def _missing_places(page: Path) -> Iterator[str]:
    text = _text(page)
    for path, name in PLACE.findall(text):
        place = ROOT / path
        if not place.exists():
            yield path
        elif name and not all(
            re.search(rf"\b{part}\b", place.read_text(encoding="utf-8")) for part in name.split(".")
        ):
            yield f"{path}: {name}"
    known = {path.name for room in ROOMS for path in (ROOT / room).rglob("*")}
    for name in FILE.findall(text):
        if name not in known and not (ROOT / name).exists() and name not in ELSEWHERE:
            yield name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_links_to_what_exists(page: Path) -> None:
    """Pages, and the headings in them."""
    assert list(_broken_links(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_files_that_exist(page: Path) -> None:
    """Modules, folders and queries with their path, and names in them."""
    assert list(_missing_places(page)) == []


def test_decision_records_are_short() -> None:
    """At most forty lines each."""
    records = (ROOT / "docs/decisions").glob("*.md")
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in records}
    assert {name: count for name, count in lines.items() if count > RECORD_LINES_MAX} == {}


def test_the_readme_is_read_in_three_minutes() -> None:
    """At most 150 lines."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES_MAX


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_settings_that_exist(page: Path) -> None:
    """Those of .env.example, which another test compares with the settings themselves."""
    known = set(re.findall(r"DAYBOOK_[A-Z_]+[A-Z]", (ROOT / ".env.example").read_text()))
    assert set(re.findall(r"DAYBOOK_[A-Z_]+[A-Z]", page.read_text(encoding="utf-8"))) <= known

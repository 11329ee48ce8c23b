"""The examples of the document: requests and what they are answered with, in order.

They are one story, in one ledger of its own: a test sends them from the first to the last, and
compares. A transaction's id follows from the ledger and the key, so it is the same whenever the
story is told: in a parameter, `{key}` stands for the id.
"""

import re
import tomllib
from pathlib import Path

import msgspec

from events.types import transaction_id
from web.openapi import Example

FILES = sorted(Path(__file__).parent.glob("examples/*.toml"))
LEDGER = "acme"


class _Story(msgspec.Struct):
    example: list[Example]


def load() -> list[Example]:
    """Return all examples, in order."""
    return [example for path in FILES for example in told_in(path)]


def told_in(path: Path) -> list[Example]:
    """Return the examples of one file, in order."""
    text = re.sub(r'"{([^}]+)}"', _id, path.read_text(encoding="utf-8"))
    return msgspec.convert(tomllib.loads(text), _Story).example


def _id(key: re.Match[str]) -> str:
    return f'"{transaction_id(LEDGER, key[1])}"'

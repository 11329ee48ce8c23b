"""What the design says of the rooms and import-linter cannot: no clock, no random, no business."""

import ast
import re
import sys
from pathlib import Path

import pytest

from daybook import migrations

ROOT = Path(__file__).resolve().parents[2]
PURE_FOLDERS = (
    "bank_statements/formats",
    "bank_statements/matching",
    "command_side/domain",
    "projections/folds",
)
PURE = (
    *(
        str(path.relative_to(ROOT))
        for folder in PURE_FOLDERS
        for path in sorted((ROOT / folder).glob("*.py"))
    ),
    "events/types.py",
    "events/money.py",
    "events/codec.py",
    "auditing/expected_rows.py",
    "auditing/replay.py",
    "sealing/leaves.py",
    "sealing/merkle.py",
    "sealing/signed_notes.py",
    "sealing/tiles.py",
    "events/event_filter.py",
    "auditing/discrepancies.py",
    "auditing/repair/plan.py",
    "auditing/rebuild/rows.py",
    "sealing/differences.py",
    "sealing/findings.py",
    "sealing/receipts.py",
    "sealing/rebuilt_tree.py",
    "bank_statements/statement.py",
    "bank_statements/parameters.py",
    "bank_statements/differences.py",
    "web/media.py",
    "web/cursors.py",
    "query_side/counters.py",
    "query_side/list_query.py",
    "query_side/parameters.py",
    "query_side/accounts/answers.py",
    "query_side/accounts/parameters.py",
    "query_side/entries/answers.py",
    "query_side/entries/parameters.py",
    "query_side/event_feed/answers.py",
    "query_side/event_feed/parameters.py",
    "query_side/event_feed/sse.py",
    "query_side/statements/answers.py",
    "query_side/statements/parameters.py",
    "query_side/transactions/answers.py",
    "query_side/transactions/parameters.py",
    "auditing/explain/counters.py",
    "auditing/explain/difference.py",
    "auditing/explain/explanation.py",
    "auditing/explain/sentences.py",
    "auditing/explain/story.py",
    "auditing/explain/trial_balance.py",
)
# What a pure module may take from the standard library: data, text and types, nothing that acts.
HARMLESS = {
    *("base64", "binascii", "bisect", "collections", "dataclasses", "datetime", "decimal", "enum"),
    # Text and XML in memory; IMPURE_CALLS forbids `open`, also that of a module.
    *("csv", "io", "xml"),
    *("functools", "hashlib", "itertools", "re", "types", "typing", "uuid"),
    "urllib.parse",  # The rest of urllib opens connections.
}
IMPURE_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "open", "print", "input"}
AUDITOR = {"auditing.replay", "auditing.expected_rows"}
AUDITED = ("command_side", "projections", "query_side")
ACCOUNTING = re.compile(
    r"\b(accounts?|ledgers?|tenants?|postings?|entry|debits?|credits?|balances?|refunds?"
    r"|transfers?(?! coding)|currency|currencies|money|amounts?|seals?|sealed|discrepanc(y|ies)"
    r"|reconciliations?|audits?|scopes?|projections?|projectors?)\b",
    re.IGNORECASE,
)


def imported(tree: ast.AST) -> set[str]:
    """Return the names of the modules that are imported."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module)
    return names


def called(tree: ast.AST) -> set[str]:
    """Return the last names of everything that is called."""
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        function.id if isinstance(function, ast.Name) else function.attr
        for function in functions
        if isinstance(function, ast.Name | ast.Attribute)
    }


def parsed(name: str) -> ast.AST:
    """Return the syntax tree of a file."""
    return ast.parse((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_has_no_clock_no_random_and_no_input(name: str) -> None:
    """Time and identity come in as arguments, so that replaying gives the same again."""
    tree = parsed(name)
    names = imported(tree) - HARMLESS
    standard = {module.partition(".")[0] for module in names} & sys.stdlib_module_names
    assert standard - HARMLESS == set()
    assert called(tree) & IMPURE_CALLS == set()
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree))


def test_the_auditor_shares_no_code_with_what_it_audits() -> None:
    """Only the vocabulary: a mistake would have to be made twice, in two ways."""
    used = imported(parsed("auditing/replay.py")) | imported(parsed("auditing/expected_rows.py"))
    ours = {m for m in used if m.partition(".")[0] not in {"msgspec", *sys.stdlib_module_names}}
    assert ours == {"events.codec", "events.types", "auditing.expected_rows"}
    for room in AUDITED:
        folds = (p for p in (ROOT / room).rglob("*.py") if str(p.relative_to(ROOT)) in PURE)
        using = {p.name for p in folds if imported(ast.parse(p.read_text())) & AUDITOR}
        assert using == set()


def test_the_runtime_knows_no_accounting_word() -> None:
    """Neither code nor strings nor comments: `runtime/` would fit any other program."""
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in sorted((ROOT / "runtime").glob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if ACCOUNTING.search(line.replace("_", " "))
    ]
    assert found == []


def test_every_migration_names_the_rooms_that_it_belongs_to() -> None:
    """The table in `daybook/migrations/__init__.py` lists each file once, with existing rooms."""
    listed = re.findall(r"^ {4}(\d{4}_\w+) +([a-z_, ]+)$", migrations.__doc__ or "", re.MULTILINE)
    files = sorted(path.stem for path in (ROOT / "daybook" / "migrations").glob("*.sql"))
    assert [name for name, _ in listed] == files
    rooms = {room for _, owners in listed for room in owners.split(", ")}
    assert all((ROOT / room / "__init__.py").is_file() for room in rooms)

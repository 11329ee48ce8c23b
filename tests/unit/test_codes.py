"""Every problem code that the program raises is documented, in both documents, and no other is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from command_side.domain.rejections import Code
from daybook.api.operations import OPERATIONS, document
from runtime import problems
from web.failures import OTHER_CODE, ROUTER_CODES
from web.media import PROBLEM
from web.parameters import INVALID, MISSING

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = (
    *("daybook", "auditing", "command_side", "projections", "query_side", "sealing"),
    *("bank_statements", "events", "web", "runtime"),
)
# What the framework refuses, and what is a bug, has no problem of ours behind it.
EDGE = ROOT / "web/failures.py"
KINDS = {kind.__name__ for kind in problems.STATUS}
# The command line says these, or they are a second guard, or they are always handled.
NEVER_OVER_HTTP = {
    "account_missing",
    "bucket_unavailable",
    "folder_unavailable",
    "not_sealed",
    "seal_key_missing",
    "amount_not_finite",
    "arguments_invalid",
    "cache_unavailable",
    "ledger_invalid",
    "ledger_not_found",
    "ledger_unexpected",
    "option_invalid",
    "rebuild_running",
    "reconciliation_busy",
    "reconciliation_ended",
    "resume_alone",
    "scope_unknown",
    "swap_blocked",
}
DOCUMENTED = (ROOT / "docs/http-api.md").read_text(encoding="utf-8").partition("## Problems")[2]


def _trees() -> Iterator[tuple[Path, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def _raised() -> set[str]:
    """Return the codes of all problems that the sources make, whatever they are made of."""
    found = {*map(str, Code), *ROUTER_CODES.values(), OTHER_CODE, INVALID, MISSING}
    for path, tree in _trees():
        constants = _constants(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in KINDS and node.args:
                found |= _codes(node.args[0], constants)
            if isinstance(node, ast.Dict) and path == EDGE:
                found |= _written_out(node)
    found |= {
        code for operation in OPERATIONS for reader in operation.readers for code in reader.codes()
    }
    return found


def _constants(tree: ast.Module) -> dict[str, str]:
    """Return the texts that names of a module are given, alone or one by one in a tuple."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets = node.targets[0]
            names = targets.elts if isinstance(targets, ast.Tuple) else [targets]
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            for name, value in zip(names, values, strict=False):
                if isinstance(name, ast.Name) and isinstance(value, ast.Constant):
                    found[name.id] = str(value.value)
    return found


def _codes(node: ast.expr, constants: dict[str, str]) -> set[str]:
    match node:
        case ast.Constant(value=str(code)):
            return {code}
        case ast.Name(id=name) if name in constants:
            return {constants[name]}
        case ast.JoinedStr(values=[ast.FormattedValue(), ast.Constant(value=str(end))]):
            return {f"{name}{end}" for name in _choices()}
        case _:
            # A name that a caller gives: `rejected(code, …)`, whose codes are those of `Code`.
            # A parameter's code is written out where it is declared.
            assert isinstance(node, ast.Name | ast.Attribute), ast.unparse(node)
            return set()


def _choices() -> set[str]:
    """Return the parameters that take one of some words: `parameters.choice("kind", …)`."""
    return {
        str(node.args[0].value)
        for _, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "choice"
        and isinstance(node.args[0], ast.Constant)
    }


def _written_out(node: ast.Dict) -> set[str]:
    """Return the codes of a problem document that is written out."""
    values = [
        value
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "code"
    ]
    return {
        str(part.value)
        for value in values
        for part in ast.walk(value)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _table(heading: str) -> list[str]:
    """Return the codes in the first column of the table below a heading."""
    rows = DOCUMENTED.partition(f"### {heading}")[2].partition("### ")[0].splitlines()
    columns = [row.split("|")[1] for row in rows if row.startswith("| `")]
    return [code for column in columns for code in re.findall(r"`(\w+)`", column)]


def test_the_http_documentation_names_just_the_codes_that_are_raised() -> None:
    """In its tables; what never comes over HTTP is named below them."""
    tables = [_table(heading) for heading in re.findall(r"### (.*)", DOCUMENTED)]
    assert {code for table in tables for code in table} == _raised() - NEVER_OVER_HTTP
    below = set(re.findall(r"`(\w+)`", DOCUMENTED.partition("### Never over HTTP")[2]))
    assert below >= NEVER_OVER_HTTP


def test_the_openapi_document_names_just_the_codes_that_are_raised() -> None:
    """Operation by operation, and those of the framework for none of them."""
    known = document()["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert set(known) == _raised() - NEVER_OVER_HTTP


def statuses_of(code: str) -> set[str]:
    """Return the statuses with which the OpenAPI document names a code."""
    return {
        status
        for item in document()["paths"].values()
        for operation in item.values()
        for status, answer in operation["responses"].items()
        for schema in (answer["content"].get(PROBLEM, {}).get("schema", {}),)
        for known in schema.get("allOf", ({}, {}))[1:]
        if code in known.get("properties", {}).get("code", {}).get("enum", ())
    }


def test_refusals_are_documented_in_order_of_precedence() -> None:
    """When several apply, the first in the table is given; a key that was used is before all."""
    assert _table("The business says no: 422") == ["idempotency_key_reused", *Code]


def test_every_code_has_the_status_that_the_documentation_gives() -> None:
    """In the tables that have a column for it."""
    for heading in ("The request is wrong", "Try again, with the same key"):
        rows = DOCUMENTED.partition(f"### {heading}")[2].partition("### ")[0].splitlines()
        for row in rows:
            if not row.startswith("| `"):
                continue
            _, names, status, *_ = (column.strip() for column in row.split("|"))
            statuses = set(re.findall(r"\d+", status))
            for code in re.findall(r"`(\w+)`", names):
                refused = {"409", "422"} if code in set(Code) else set()
                assert statuses_of(code) <= statuses | refused, row

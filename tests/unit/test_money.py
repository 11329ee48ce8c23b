"""Amounts are exact from the request's bytes to the integer, and back to text."""

import ast
import decimal
import time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import money
from runtime.problems import Invalid
from web.answers import ENCODER

ROOT = Path(__file__).resolve().parents[2]
MONEY_ROOMS = (
    *("auditing", "bank_statements", "command_side", "daybook/cli", "events"),
    *("projections", "query_side"),
)

MINORS = st.integers(-(10**38) + 1, 10**38 - 1)
DECIMALS = st.integers(0, money.DECIMALS_MAX)
DIGITS_38 = "12345678901234567890123456789012345678"


@pytest.mark.parametrize(
    "raw, decimals, minor",
    [
        (b"0.1", 2, 10),
        (b"0.01", 2, 1),
        (b"100", 2, 100_00),
        (b"100.00", 2, 100_00),
        (b'"100.00"', 2, 100_00),
        (b"100.000", 2, 100_00),
        (b"1e2", 2, 100_00),
        (b"1E2", 2, 100_00),
        (b"1e+2", 2, 100_00),
        (b'"1e2"', 2, 100_00),
        (b"10000e-2", 2, 100_00),
        (b"1.5e1", 0, 15),
        (b"10e-1", 0, 1),
        (b'"007"', 2, 7_00),
        (b"0.3", 1, 3),
        (b"2.675", 3, 2675),
        (b"9007199254740993", 0, 9007199254740993),
        (b"90071992547409.93", 2, 9007199254740993),
        (b"123456789012345678901234567890", 0, 123456789012345678901234567890),
        (b"1234567890123456789012345678.90", 2, 123456789012345678901234567890),
        (DIGITS_38.encode(), 0, int(DIGITS_38)),
        (b"%s.%s" % (DIGITS_38[:36].encode(), DIGITS_38[36:].encode()), 2, int(DIGITS_38)),
        (b"%s.%s" % (DIGITS_38[:20].encode(), DIGITS_38[20:].encode()), 18, int(DIGITS_38)),
        (b"9" * 38, 0, 10**38 - 1),
        (b"0.000000000000000001", 18, 1),
        (b"1e-18", 18, 1),
        (b"1e37", 0, 10**37),
        pytest.param(b"1." + b"0" * 60_000, 0, 1, id="60000 zeros"),
    ],
)
def test_an_amount_is_read_exactly(raw: bytes, decimals: int, minor: int) -> None:
    """A number and a string of the same digits mean the same integer of minor units."""
    assert money.minor_units(raw, decimals, "XXX") == minor
    assert money.to_minor(money.parse(raw), decimals, "XXX") == minor


@pytest.mark.parametrize(
    "raw, decimals, code",
    [
        (b"", 2, "amount_not_a_number"),
        (b'""', 2, "amount_not_a_number"),
        (b"null", 2, "amount_not_a_number"),
        (b"true", 2, "amount_not_a_number"),
        (b"false", 2, "amount_not_a_number"),
        (b"[]", 2, "amount_not_a_number"),
        (b"[1]", 2, "amount_not_a_number"),
        (b"{}", 2, "amount_not_a_number"),
        (b'{"amount":1}', 2, "amount_not_a_number"),
        (b'"NaN"', 2, "amount_not_a_number"),
        (b'"sNaN"', 2, "amount_not_a_number"),
        (b'"Infinity"', 2, "amount_not_a_number"),
        (b'"-Infinity"', 2, "amount_not_a_number"),
        (b'"inf"', 2, "amount_not_a_number"),
        (b'"1_0"', 2, "amount_not_a_number"),
        (b'" 1"', 2, "amount_not_a_number"),
        (b'"1 "', 2, "amount_not_a_number"),
        (b'"1\n"', 2, "amount_not_a_number"),
        (b"1\n", 2, "amount_not_a_number"),
        (b'"1""', 2, "amount_not_a_number"),
        (b'"+1"', 2, "amount_not_a_number"),
        (b'".5"', 2, "amount_not_a_number"),
        (b'"5."', 2, "amount_not_a_number"),
        (b'"1,5"', 2, "amount_not_a_number"),
        (b'"1.2.3"', 2, "amount_not_a_number"),
        (b'"1e"', 2, "amount_not_a_number"),
        (b'"0x10"', 2, "amount_not_a_number"),
        (b'"$5"', 2, "amount_not_a_number"),
        (b'"\\u0031"', 2, "amount_not_a_number"),
        ('"\u0661\u0660"'.encode(), 2, "amount_not_a_number"),
        ('"\uff11"'.encode(), 2, "amount_not_a_number"),
        (b'"\xff"', 2, "amount_not_a_number"),
        (b"1e9999999999", 2, "amount_not_a_number"),
        (b"0", 2, "amount_not_positive"),
        (b"0.00", 2, "amount_not_positive"),
        (b"0e999999999", 2, "amount_not_positive"),
        (b"-0", 2, "amount_not_positive"),
        (b"-1", 2, "amount_not_positive"),
        (b'"-0.01"', 2, "amount_not_positive"),
        (b"-1e999999999", 2, "amount_not_positive"),
        (b"1" + b"0" * 38, 0, "amount_too_large"),
        (b"1" * 39, 0, "amount_too_large"),
        (b"1" * 37, 2, "amount_too_large"),
        (b"1" * 21, 18, "amount_too_large"),
        (b"1e38", 0, "amount_too_large"),
        (b"1e999999999", 2, "amount_too_large"),
        pytest.param(b"9" * 60_000, 2, "amount_too_large", id="60000 nines"),
        (b"0.001", 2, "amount_too_precise"),
        (b"100.001", 2, "amount_too_precise"),
        (b"0.5", 0, "amount_too_precise"),
        (b"1e-19", 18, "amount_too_precise"),
        (b"1e-999999999", 2, "amount_too_precise"),
        pytest.param(b"1." + b"0" * 60_000 + b"1", 2, "amount_too_precise", id="60000 decimals"),
    ],
)
def test_what_is_no_amount_is_refused(raw: bytes, decimals: int, code: str) -> None:
    """Each wrong amount has a precise code, and the field's name."""
    with pytest.raises(Invalid) as refusal:
        money.minor_units(raw, decimals, "XXX")
    assert refusal.value.code == code
    assert refusal.value.extensions == {"field": "amount"}


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_decimal_that_is_not_finite_is_refused(text: str) -> None:
    """Whoever brings a Decimal from elsewhere gets the same care."""
    with pytest.raises(Invalid) as refusal:
        money.to_minor(Decimal(text), 2, "USD")
    assert refusal.value.code == "amount_not_finite"


@pytest.mark.parametrize("raw", [b"1e999999999", b"1e-999999999", b"0e999999999"])
def test_a_monstrous_number_costs_nothing(raw: bytes) -> None:
    """The size is checked before a big number is built: no billion digits, no time."""
    started = time.process_time()
    with pytest.raises(Invalid):
        money.to_minor(money.parse(raw), 2, "USD")
    assert (time.process_time() - started) * 10 < 1


@given(minor=st.integers(1, 10**38 - 1), decimals=DECIMALS)
def test_text_of_minor_units_reads_back_as_the_same(minor: int, decimals: int) -> None:
    """What goes out as text or as a JSON number comes in again as the same integer."""
    text = money.to_text(minor, decimals)
    number = ENCODER.encode(money.to_json(minor, decimals))
    for raw in (text.encode(), f'"{text}"'.encode(), number):
        assert money.to_minor(money.parse(raw), decimals, "XXX") == minor


@given(minor=MINORS, decimals=DECIMALS)
def test_text_shows_all_decimals_and_the_sign(minor: int, decimals: int) -> None:
    """Balances may be negative, and 0.05 keeps its zeros."""
    text = money.to_text(minor, decimals)
    assert Decimal(money.to_text(minor, decimals)) == Decimal(minor).scaleb(
        -decimals, decimal.Context(prec=60)
    )
    _, _, fraction = text.partition(".")
    assert len(fraction) == decimals
    assert text.startswith("-") == (minor < 0)
    assert int(text.replace(".", "")) == minor


@given(minor=st.integers(1, 10**38 - 1), decimals=DECIMALS)
def test_no_decimal_context_can_round_an_amount(minor: int, decimals: int) -> None:
    """A context of one digit that traps every rounding is never asked."""
    one_digit = decimal.Context(prec=1, traps=[decimal.Inexact, decimal.Rounded])
    with decimal.localcontext(one_digit):
        amount = money.parse(money.to_text(minor, decimals).encode())
        assert money.to_minor(amount, decimals, "XXX") == minor
        assert money.to_text(minor, decimals) == bytes(money.to_json(minor, decimals)).decode()


@given(digits=st.integers(1, 10**45), exponent=st.integers(-30, 30), decimals=st.integers(0, 18))
def test_an_amount_is_exact_or_refused(digits: int, exponent: int, decimals: int) -> None:
    """There is no third way: never rounded, never cut."""
    exact = digits * 10 ** (exponent + decimals + 48)
    whole, rest = divmod(exact, 10**48)
    raw = f"{digits}e{exponent}".encode()
    if whole < 10**38 and not rest:
        assert money.to_minor(money.parse(raw), decimals, "XXX") == whole
        return
    with pytest.raises(Invalid) as refusal:
        money.to_minor(money.parse(raw), decimals, "XXX")
    expected = "amount_too_large" if whole >= 10**38 else "amount_too_precise"
    assert refusal.value.code == expected


@given(st.binary(max_size=12) | st.text('0123456789.eE+-" _', max_size=12).map(str.encode))
def test_any_bytes_are_an_amount_or_invalid(raw: bytes) -> None:
    """No input makes another kind of error."""
    try:
        minor = money.to_minor(money.parse(raw), 2, "USD")
    except Invalid:
        return
    assert 0 < minor < 10**38


SOURCES = [path for room in MONEY_ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def float_lines(source: str) -> list[int]:
    """Return the lines where `source` makes or names a float, or divides; durations (`…_s`) may."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.expr) and _is_float(node) and not _is_duration(node, parents)
    ]


def _is_float(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=float()) | ast.BinOp(op=ast.Div()):
            return True
        case ast.Name(id="float" | "round"):
            return True
        case _:
            return False


def _is_duration(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Follow the expression up: is it given to a name of seconds, or to sleep?"""
    while node in parents:
        node = parents[node]
        match node:
            case (
                ast.arg(arg=name)
                | ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)])
                | ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name))
                | ast.FunctionDef(name=name)
            ):
                return name.lower().endswith(("_s", "_s_max", "_at"))
            case ast.FunctionDef(name=name):  # What it returns; its body is statements.
                return name.endswith("_s")
            case ast.Call(func=ast.Attribute(attr="sleep")):
                return True
            case ast.stmt():
                return False
            case _:
                continue
    return False


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_float_comes_near_money(path: Path) -> None:
    """Float literals, `float`, `round` and true division stand only where seconds are counted."""
    assert float_lines(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line, floats",
    [
        ("amount = 1.5", 1),
        ("amount: float = 1", 1),
        ("amount = float(text)", 1),
        ("amount = minor / 100", 1),
        ("amount = round(minor)", 1),
        ("def amount() -> float: ...", 1),
        ("def wait_s() -> float: return 0.5", 1),
        ("def wait_s(wait_s_max: float) -> float | None: ...", 0),
        ("amount: float", 1),
        ("timeout_s = 1.5", 0),
        ("since_s: float", 0),
        ("path = 'a/b'", 0),
        ("amount = minor // 100", 0),
    ],
)
def test_the_search_for_floats_finds_them(line: str, floats: int) -> None:
    """The test above can fail."""
    assert len(float_lines(line)) == floats

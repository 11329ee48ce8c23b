"""What a client gets wrong: one row a case, a precise problem document, and nothing appended."""

from typing import Any

import httpx
import msgspec
import pytest

from tests.acceptance.driver import (
    API,
    SUBMIT,
    Database,
    Ledger,
    head_position,
    problem,
    transfer,
)

BODY_BYTES_MAX = 65_536
FLOAT = msgspec.Raw(b"1.5")
NUL, BELL, DELETE = "\x00", "\x07", "\x7f"

AMOUNTS = [
    # The amount as it stands in the JSON, and the code of the answer.
    ("more decimals than the currency has", b"0.001", "amount_too_precise"),
    ("the same as a string", b'"0.001"', "amount_too_precise"),
    ("the same by an exponent", b"1e-3", "amount_too_precise"),
    ("many decimals, the last not zero", b"1." + b"0" * 5000 + b"1", "amount_too_precise"),
    ("zero", b"0", "amount_not_positive"),
    ("zero with decimals", b"0.00", "amount_not_positive"),
    ("zero, hugely scaled", b"0e999999999", "amount_not_positive"),
    ("negative zero", b"-0", "amount_not_positive"),
    ("negative", b"-1", "amount_not_positive"),
    ("negative string", b'"-1.00"', "amount_not_positive"),
    ("39 digits of minor units", b"1" + b"0" * 36 + b".00", "amount_too_large"),
    ("39 digits of minor units by an exponent", b"1e36", "amount_too_large"),
    ("a billion digits", b"1e999999999", "amount_too_large"),
    ("NaN as a string", b'"NaN"', "amount_not_a_number"),
    ("Infinity as a string", b'"Infinity"', "amount_not_a_number"),
    ("negative Infinity as a string", b'"-Infinity"', "amount_not_a_number"),
    ("an exponent beyond reason", b"1e9999999999", "amount_not_a_number"),
    ("empty string", b'""', "amount_not_a_number"),
    ("a string with a space", b'" 1"', "amount_not_a_number"),
    ("a string with a plus sign", b'"+1"', "amount_not_a_number"),
    ("a string with a comma", b'"1,000.00"', "amount_not_a_number"),
    ("a string with an underscore", b'"1_000"', "amount_not_a_number"),
    ("a string in hexadecimal", b'"0x10"', "amount_not_a_number"),
    ("a string with other digits", '"\uff11"'.encode(), "amount_not_a_number"),
    ("a string with a currency", b'"1 USD"', "amount_not_a_number"),
    ("a string that ends in a point", b'"1."', "amount_not_a_number"),
    ("true", b"true", "amount_not_a_number"),
    ("null", b"null", "amount_not_a_number"),
    ("a list", b"[1]", "amount_not_a_number"),
    ("an object", b'{"value": 1}', "amount_not_a_number"),
    ("NaN", b"NaN", "body_not_json"),
    ("Infinity", b"Infinity", "body_not_json"),
    ("a leading zero", b"01", "body_not_json"),
    ("no digit before the point", b".5", "body_not_json"),
    ("no value", b"", "body_not_json"),
]

FIELDS: list[tuple[str, dict[str, Any], str, str]] = [
    # What is put over a good transaction, the code, and the field that the answer names.
    ("no source", {"source": ""}, "account_id_invalid", "source_account_id"),
    ("no destination", {"destination": ""}, "account_id_invalid", "destination_account_id"),
    ("a space", {"source": "a b"}, "account_id_invalid", "source_account_id"),
    ("a slash", {"source": "a/b"}, "account_id_invalid", "source_account_id"),
    ("a quote", {"source": 'a"b'}, "account_id_invalid", "source_account_id"),
    ("a NUL", {"source": f"a{NUL}"}, "account_id_invalid", "source_account_id"),
    ("a newline at the end", {"source": "a\n"}, "account_id_invalid", "source_account_id"),
    ("a Cyrillic letter", {"source": "\u0430"}, "account_id_invalid", "source_account_id"),
    ("a leading point", {"destination": ".a"}, "account_id_invalid", "destination_account_id"),
    ("129 characters", {"destination": "a" * 129}, "account_id_invalid", "destination_account_id"),
    ("the same account", {"source": "wallet"}, "same_account", ""),
    ("unknown currency", {"currency": "XXX"}, "currency_unknown", "currency"),
    ("lower case currency", {"currency": "usd"}, "currency_unknown", "currency"),
    ("empty currency", {"currency": ""}, "currency_unknown", "currency"),
    ("decimals in yen", {"currency": "JPY", "amount": b"1.5"}, "amount_too_precise", "amount"),
    ("long description", {"description": "x" * 501}, "description_too_long", "description"),
    ("NUL in description", {"description": NUL}, "control_character", "description"),
    ("bell in description", {"description": BELL}, "control_character", "description"),
    ("DEL in description", {"description": DELETE}, "control_character", "description"),
    ("NUL in metadata", {"metadata": {"a": NUL}}, "control_character", "metadata"),
    ("NUL in a metadata key", {"metadata": {NUL: 1}}, "control_character", "metadata"),
    ("long metadata", {"metadata": {"a": "x" * 4096}}, "metadata_too_large", "metadata"),
    ("51 keys", {"metadata": dict.fromkeys(map(str, range(51)))}, "metadata_too_large", "metadata"),
    ("a float", {"metadata": {"a": FLOAT}}, "body_invalid", "transaction.metadata[...]"),
    ("a list", {"metadata": {"a": []}}, "body_invalid", "transaction.metadata[...]"),
    ("an object", {"metadata": {"a": {}}}, "body_invalid", "transaction.metadata[...]"),
    ("metadata as text", {"metadata": "a"}, "body_invalid", "transaction.metadata"),
    ("source as a number", {"source": 1}, "body_invalid", "transaction.source_account_id"),
    ("source as null", {"source": None}, "body_invalid", "source_account_id"),
    ("currency as a number", {"currency": 840}, "body_invalid", "transaction.currency"),
    ("description as a list", {"description": []}, "body_invalid", "transaction.description"),
    ("an unknown field", {"amuont": 1}, "body_invalid", "transaction"),
    ("a field of the event", {"ledger": "other"}, "body_invalid", "transaction"),
]  # fmt: skip

GOOD = msgspec.json.encode(transfer()).decode()
BODIES: list[tuple[str, bytes, int, str]] = [
    ("nothing", b"", 400, "body_not_json"),
    ("not JSON", b"amount=100", 400, "body_not_json"),
    ("half a body", b'{"transaction": {', 400, "body_not_json"),
    ("more after it", f'{{"transaction": {GOOD}}} x'.encode(), 400, "body_not_json"),
    ("not UTF-8", b'{"idempotencyKey": "\xff"}', 400, "body_not_json"),
    ("half a surrogate pair", b'{"idempotencyKey": "\\ud800"}', 400, "body_not_json"),
    ("null", b"null", 400, "body_invalid"),
    ("a list", b"[]", 400, "body_invalid"),
    ("no transaction", b'{"idempotencyKey": "k"}', 400, "body_invalid"),
    ("transaction is null", b'{"transaction": null, "idempotencyKey": "k"}', 400, "body_invalid"),
    ("an unknown field", f'{{"transaction": {GOOD}, "key": "k"}}'.encode(), 400, "body_invalid"),
    (
        "an amount twice",
        b'{"transaction": {"amount": 1, %s, "idempotencyKey": "k"}' % GOOD[1:].encode(),
        400,
        "member_repeated",
    ),
    (
        "an amount twice, without spaces",
        b'{"transaction":{"amount":1,%s,"idempotencyKey":"k"}' % GOOD[1:].encode(),
        400,
        "member_repeated",
    ),
    ("deeply nested", b'{"transaction": ' + b"[" * 30_000, 400, "body_invalid"),
    (
        "deeply nested amount",
        b'{"transaction": {"amount": ' + b"[" * 30_000 + b"]" * 30_000 + b"}}",
        400,
        "body_not_json",
    ),
    ("one byte too many", b" " * (BODY_BYTES_MAX + 1), 413, "body_too_large"),
    ("far too many bytes", b" " * 8_000_000, 413, "body_too_large"),
]

KEYS: list[tuple[str, str | None, str | None, str]] = [
    # In the body, in the header, and the code.
    ("nowhere", None, None, "idempotency_key_missing"),
    ("empty in the body", "", None, "idempotency_key_invalid"),
    ("empty in the header", None, "", "idempotency_key_invalid"),
    ("over-long in the body", "x" * 256, None, "idempotency_key_invalid"),
    ("over-long in the header", None, "x" * 256, "idempotency_key_invalid"),
    ("a dot", ".", None, "idempotency_key_invalid"),
    ("two dots", None, "..", "idempotency_key_invalid"),
    ("a space", "a b", None, "idempotency_key_invalid"),
    ("a newline at the end", "a\n", None, "idempotency_key_invalid"),
    ("a NUL", "a\x00", None, "idempotency_key_invalid"),
    ("beyond ASCII", "é", None, "idempotency_key_invalid"),
    ("two different ones", "a", "b", "idempotency_key_ambiguous"),
    ("different in case", "a", "A", "idempotency_key_ambiguous"),
    ("empty and not empty", "", "a", "idempotency_key_ambiguous"),
]


@pytest.fixture
async def unmoved(database: Database, ledger: Ledger) -> Any:  # noqa: ANN401 - a generator's type
    """Hold that the log is exactly as long after the test as before it."""
    position = await head_position(database)
    yield
    assert await head_position(database) == position, "something was appended"
    assert (await ledger.get("/transactions"))["items"] == []


def names(case: object) -> str | None:
    """Call a row by its first column."""
    return case if isinstance(case, str) else ""


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("_case, amount, code", AMOUNTS, ids=names)
async def test_bad_amount(ledger: Ledger, _case: str, amount: bytes, code: str) -> None:
    """An amount is a positive, finite, exact number of at most 38 digits; the field is named."""
    body = b'{"transaction": {"source_account_id": "external:usd", "destination_account_id": "w", '
    body += b'"amount": %s}, "idempotencyKey": "k"}' % amount
    found = problem(await ledger.http.post(SUBMIT, content=body), 400, code)
    if code.startswith("amount"):
        assert found["field"] == "amount"


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("_case, over, code, field", FIELDS, ids=names)
async def test_bad_field(
    ledger: Ledger,
    _case: str,
    over: dict[str, Any],
    code: str,
    field: str,
) -> None:
    """Every other field of a transaction; the answer names the one that is wrong."""
    found = problem(await ledger.submit("k", **over), 400, code)
    assert (found.get("field") or "") == field


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("field", ["source_account_id", "destination_account_id", "amount"])
async def test_missing_field(ledger: Ledger, field: str) -> None:
    """The three fields that a transaction must have."""
    body = transfer()
    del body[field]
    answer = await ledger.http.post(
        SUBMIT, content=msgspec.json.encode({"transaction": body, "idempotencyKey": "k"})
    )
    assert field in problem(answer, 400, "body_invalid")["detail"]


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("_case, body, status, code", BODIES, ids=names)
async def test_bad_body(
    ledger: Ledger,
    _case: str,
    body: bytes,
    status: int,
    code: str,
) -> None:
    """The body as a whole; the same on each route that takes one."""
    problem(await ledger.http.post(SUBMIT, content=body), status, code)


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("method, path", [
    ("POST", "/transactions/00000000-0000-4000-8000-000000000000/refund"),
    ("POST", "/accounts"),
    ("PATCH", "/accounts/wallet"),
    ("POST", "/accounts/wallet/reconcile"),
])  # fmt: skip
async def test_bad_body_on_the_other_routes(ledger: Ledger, method: str, path: str) -> None:
    """One way of saying it everywhere."""
    for body, status, code in (
        (b"not JSON", 400, "body_not_json"),
        (b"[]", 400, "body_invalid"),
        (b'{"surprise": 1}', 400, "body_invalid"),
        (b" " * (BODY_BYTES_MAX + 1), 413, "body_too_large"),
    ):
        answer = await ledger.http.request(method, f"{API}{path}", content=body)
        problem(answer, status, code)


async def test_body_of_exactly_the_bound_is_taken(ledger: Ledger) -> None:
    """The bound itself is allowed."""
    body = msgspec.json.encode({"transaction": transfer(), "idempotencyKey": "k"})
    answer = await ledger.http.post(SUBMIT, content=body.ljust(BODY_BYTES_MAX))
    assert answer.status_code == 202


@pytest.mark.usefixtures("unmoved")
async def test_over_large_body_in_pieces(ledger: Ledger) -> None:
    """A body without a declared length is counted as it comes."""

    async def pieces() -> Any:  # noqa: ANN401 - a generator's type
        for _ in range(100):
            yield b" " * 1_000

    answer = await ledger.http.post(SUBMIT, content=pieces())
    problem(answer, 413, "body_too_large")


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("_case, in_body, in_header, code", KEYS, ids=names)
async def test_bad_key(
    ledger: Ledger,
    _case: str,
    in_body: str | None,
    in_header: str | None,
    code: str,
) -> None:
    """A key is 1 to 255 visible ASCII characters, given once or twice the same."""
    headers = {} if in_header is None else {"Idempotency-Key": in_header}
    problem(await ledger.submit(in_body, headers=headers), 400, code)


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("prefer", ["wait=", "wait=soon", "wait=-1", "wait=1.5", "wait=1e3"])
async def test_bad_preference(ledger: Ledger, prefer: str) -> None:
    """A wait that cannot be read is refused before anything is appended."""
    answer = await ledger.submit("k", headers={"Prefer": prefer})
    problem(answer, 400, "prefer_invalid")


@pytest.mark.parametrize("amount", [b"0.001", b"0", b"-1", b'"x"', b"null", b"1e36"])
async def test_bad_refund_amount(ledger: Ledger, database: Database, amount: bytes) -> None:
    """A refund's amount is as strict as a transfer's."""
    original = await ledger.posted()
    position = await head_position(database)
    answer = await ledger.http.post(
        f"{SUBMIT}/{original['id']}/refund",
        content=b'{"idempotencyKey": "r", "amount": %s}' % amount,
    )
    assert answer.status_code == 400
    problem(answer, 400, answer.json()["code"])
    assert answer.json()["code"].startswith("amount_")
    assert await head_position(database) == position


@pytest.mark.usefixtures("unmoved")
async def test_refund_of_no_uuid(ledger: Ledger) -> None:
    """A transaction id is a UUID."""
    answer = await ledger.http.post(f"{SUBMIT}/one/refund", json={"idempotencyKey": "r"})
    problem(answer, 400, "transaction_id_invalid")


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize(
    "body, code, field",
    [
        ({}, "body_invalid", None),
        ({"account_id": "a b"}, "account_id_invalid", "account_id"),
        ({"account_id": "a", "currency": "XXX"}, "currency_unknown", "currency"),
        ({"account_id": "a", "overdraft": 100}, "body_invalid", "overdraft"),
        ({"account_id": "a", "overdraft": "much"}, "amount_not_a_number", "overdraft"),
        ({"account_id": "a", "overdraft": "-1"}, "amount_not_positive", "overdraft"),
        ({"account_id": "a", "overdraft": "0.001"}, "amount_too_precise", "overdraft"),
    ],
)
async def test_bad_account(
    ledger: Ledger, body: dict[str, Any], code: str, field: str | None
) -> None:
    """Opening an account; the answer names the field that is wrong."""
    found = problem(await ledger.http.post(f"{API}/accounts", json=body), 400, code)
    assert found.get("field") == field


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("method, path, allowed", [
    ("PUT", "/transactions", {"GET", "POST"}),
    ("DELETE", "/transactions", {"GET", "POST"}),
    ("DELETE", "/transactions/status/k", {"GET"}),
    ("GET", "/transactions/k/refund", {"POST"}),
    ("POST", "/accounts/wallet/balance", {"GET"}),
    ("DELETE", "/accounts/wallet", {"GET", "PATCH"}),
    ("GET", "/accounts/wallet/reconcile", {"POST"}),
    ("POST", "/queue/stats", {"GET"}),
])  # fmt: skip
async def test_wrong_method(ledger: Ledger, method: str, path: str, allowed: set[str]) -> None:
    """405 in the same shape; `Allow` is that of OPTIONS, and has HEAD wherever GET is."""
    answer = await ledger.http.request(method, f"{API}{path}")
    problem(answer, 405, "method_not_allowed")
    whole = allowed | {"OPTIONS"} | ({"HEAD"} if "GET" in allowed else set())
    assert {name.strip() for name in answer.headers["Allow"].split(",")} == whole
    options = await ledger.http.options(f"{API}{path}")
    assert (options.status_code, options.headers["Allow"]) == (204, answer.headers["Allow"])


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize(
    "path", ["/", "/api/v1", "/api/v2/transactions", f"{API}/nothing", "/.env"]
)
async def test_unknown_path(ledger: Ledger, path: str) -> None:
    """404 in the same shape."""
    answer: httpx.Response = await ledger.http.get(path)
    problem(answer, 404, "not_found")


@pytest.mark.parametrize("amount", [b"1." + b"0" * 5000, b"1" + b"0" * 5000 + b"e-5000"])
async def test_many_digits_of_a_small_amount_are_taken(ledger: Ledger, amount: bytes) -> None:
    """Exactness has no length: zeros that change nothing are not an error."""
    assert (await ledger.posted(amount=amount))["amount_minor"] == "100"


@pytest.mark.parametrize("description", ["x" * 500, "ünï©ødé 🎉", "a\tb\nc", '"\\</script>'])
async def test_description_comes_out_as_it_went_in(ledger: Ledger, description: str) -> None:
    """Text is text, up to 500 characters."""
    assert (await ledger.posted(description=description))["description"] == description


async def test_metadata_comes_out_as_it_went_in(ledger: Ledger) -> None:
    """Strings, integers of any size, booleans and null."""
    metadata = {"s": "é", "i": 10**30, "n": -(2**64), "b": False, "0": None, "": "empty"}
    result = await ledger.posted("k", metadata=metadata)
    assert result["metadata"] == metadata
    polled = await ledger.get("/transactions/status/k")
    assert polled["result"]["metadata"] == metadata

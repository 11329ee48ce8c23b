"""The values of a body: idempotency keys, account ids, and what may be attached."""

import pytest

from command_side.api.values import check_account_id, check_attachments, check_key
from events import schema as schemas
from events.types import Metadata
from runtime.problems import Invalid
from tests.unit.examples import SCHEMA, SCHEMA_TEXT


@pytest.mark.parametrize(
    "in_body, in_header, code",
    [
        ("a", "b", "idempotency_key_ambiguous"),
        ("", "b", "idempotency_key_ambiguous"),
        (None, None, "idempotency_key_missing"),
        ("", None, "idempotency_key_invalid"),
        (None, "", "idempotency_key_invalid"),
        ("k" * 256, None, "idempotency_key_invalid"),
        (None, "k" * 256, "idempotency_key_invalid"),
        ("a b", None, "idempotency_key_invalid"),
        ("k\n", None, "idempotency_key_invalid"),
        ("\u0000", None, "idempotency_key_invalid"),
        ("é", None, "idempotency_key_invalid"),
    ],
)
def test_a_wrong_idempotency_key_is_refused(
    in_body: str | None, in_header: str | None, code: str
) -> None:
    """Missing, in doubt, too long, or of other than visible ASCII."""
    with pytest.raises(Invalid) as refusal:
        check_key(in_body, in_header)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    "in_body, in_header", [("k", None), (None, "k"), ("k", "k"), ("k" * 255, None), ("~!/?%", None)]
)
def test_a_key_may_come_in_the_body_or_the_header(
    in_body: str | None, in_header: str | None
) -> None:
    """Or in both, if they agree."""
    assert check_key(in_body, in_header) == in_body or in_header


@pytest.mark.parametrize("account_id", ["a", "A-1", "bank:main", "x" * 128, "9_.:@-", "a@b.c"])
def test_an_account_id_is_kept_as_it_is(account_id: str) -> None:
    """No folding, no trimming."""
    assert check_account_id(account_id, "account_id") == account_id


def test_metadata_that_the_schema_requires_must_be_there() -> None:
    """Absent metadata lacks every key; a key with null is there."""
    strict = schemas.parse(f'{SCHEMA_TEXT}\n[limits]\nmetadata_required = ["order", "shop"]\n')
    check_attachments(None, None, {"order": 1, "shop": None}, strict)
    cases: list[tuple[Metadata | None, str]] = [
        (None, "order, shop"),
        ({}, "order, shop"),
        ({"order": 1}, "shop"),
    ]
    for metadata, named in cases:
        with pytest.raises(Invalid, match=f"keys {named}") as refusal:
            check_attachments(None, None, metadata, strict)
        assert refusal.value.code == "metadata_required"


@pytest.mark.parametrize("allowed", ["\t", "\n", "\r\n", "é", "😀", "\u200f", "'; DROP TABLE"])
def test_text_of_people_is_allowed(allowed: str) -> None:
    """Only control characters that no reader wants are refused."""
    check_attachments(allowed, allowed, {allowed: allowed}, SCHEMA)

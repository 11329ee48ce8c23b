"""The shape of requests: what is asked wrongly at all, of which nothing is ever appended."""

from collections.abc import Callable

import msgspec
import pytest

from command_side.api import account_requests, followup_requests, movement_requests
from command_side.api.bodies import FollowUpBody, SubmitBody
from command_side.domain.commands import Part, Refund, Transfer
from events import schema as schemas
from runtime.problems import Invalid
from tests.unit.decide_examples import ABOUT, LEDGER, Fields, postings
from tests.unit.examples import POSTED, SCHEMA
from web.bodies import decode

BODY = '{"transaction": {"source_account_id": "a", "destination_account_id": "b", "amount": 1%s}%s}'
LONG_ID = "a" * 129


def submitted(text: str) -> Transfer:
    """Return the command in the body of `POST /transactions`."""
    body = decode(text.encode(), msgspec.json.Decoder(SubmitBody))
    command = movement_requests.movement(LEDGER, "k", body.transaction, schemas.load())
    assert isinstance(command, Transfer)
    return command


def reversal(text: str) -> Refund:
    """Return the command in the body of `POST /transactions/{id}/refund`."""
    body = decode(text.encode(), msgspec.json.Decoder(FollowUpBody))
    return followup_requests.refund(LEDGER, "k", ABOUT, POSTED, body, schemas.load())


def body_with(**fields: Fields) -> str:
    """Return a body whose transaction has these fields, too; None leaves one out."""
    given = {"source_account_id": "a", "destination_account_id": "b", "amount": 1} | fields
    return msgspec.json.encode(
        {"transaction": {name: value for name, value in given.items() if value is not None}}
    ).decode()


@pytest.mark.parametrize(
    "text, code, field",
    [
        ("", "body_not_json", None),
        ("x", "body_not_json", None),
        ('{"transaction":', "body_not_json", None),
        (BODY % ("", "") + "x", "body_not_json", None),
        (BODY % ("_0", ""), "body_not_json", None),
        (BODY % (".", ""), "body_not_json", None),
        (BODY % (',"description":"\\ud800"', ""), "body_not_json", None),
        (body_with().replace('"amount":1', '"amount":NaN'), "body_not_json", None),
        (body_with().replace('"amount":1', '"amount":Infinity'), "body_not_json", None),
        (body_with().replace('"amount":1', '"amount":007'), "body_not_json", None),
        (body_with(amount="@").replace('"@"', "[" * 9999 + "]" * 9999), "body_not_json", None),
        ("null", "body_invalid", None),
        ("[]", "body_invalid", None),
        ("{}", "body_invalid", None),
        (BODY % ("", ',"extra":1'), "body_invalid", None),
        (BODY % ("", ',"idempotencyKey":1'), "body_invalid", "idempotencyKey"),
        ('{"transaction": null}', "body_invalid", "transaction"),
        (body_with(amount=None), "body_invalid", "amount"),
        (body_with(source_account_id=None), "body_invalid", "source_account_id"),
        (
            body_with(destination_account_id=None),
            "body_invalid",
            "destination_account_id",
        ),
        (body_with(extra=1), "body_invalid", "transaction"),
        (body_with(source_account_id=5), "body_invalid", "transaction.source_account_id"),
        (body_with(description=5), "body_invalid", "transaction.description"),
        (body_with(currency=5), "body_invalid", "transaction.currency"),
        (body_with(metadata=[]), "body_invalid", "transaction.metadata"),
        (body_with(metadata={"a": {}}), "body_invalid", "transaction.metadata[...]"),
        (body_with(metadata={"a": []}), "body_invalid", "transaction.metadata[...]"),
        (BODY % (',"metadata":{"a":0.5}', ""), "body_invalid", "transaction.metadata[...]"),
        (body_with(source_account_id=""), "account_id_invalid", "source_account_id"),
        (body_with(source_account_id=LONG_ID), "account_id_invalid", "source_account_id"),
        (body_with(source_account_id="a b"), "account_id_invalid", "source_account_id"),
        (body_with(source_account_id="a\n"), "account_id_invalid", "source_account_id"),
        (body_with(source_account_id=".a"), "account_id_invalid", "source_account_id"),
        (body_with(source_account_id="a/b"), "account_id_invalid", "source_account_id"),
        (body_with(destination_account_id="é"), "account_id_invalid", "destination_account_id"),
        (body_with(destination_account_id="٣"), "account_id_invalid", "destination_account_id"),
        (body_with(destination_account_id="a"), "same_account", None),
        (body_with(description="x" * 501), "description_too_long", "description"),
        (body_with(description="a\u0000b"), "control_character", "description"),
        (body_with(description="a\u001bb"), "control_character", "description"),
        (body_with(metadata={"k": "\u0000"}), "control_character", "metadata"),
        (body_with(metadata={"\u0000": 1}), "control_character", "metadata"),
        (body_with(metadata={str(n): n for n in range(51)}), "metadata_too_large", "metadata"),
        (body_with(metadata={"k": "x" * 4096}), "metadata_too_large", "metadata"),
        (body_with(currency="QQQ"), "currency_unknown", "currency"),
        (body_with(currency="usd"), "currency_unknown", "currency"),
        (body_with(currency=""), "currency_unknown", "currency"),
        (body_with(currency="\u0000"), "currency_unknown", "currency"),
        (body_with(amount="x"), "amount_not_a_number", "amount"),
        (body_with(amount=True), "amount_not_a_number", "amount"),
        (body_with(amount=[1]), "amount_not_a_number", "amount"),
        (body_with(amount={}), "amount_not_a_number", "amount"),
        (body_with(amount="@").replace('"@"', "null"), "amount_not_a_number", "amount"),
        (body_with(amount=0), "amount_not_positive", "amount"),
        (body_with(amount=-1), "amount_not_positive", "amount"),
        (body_with(amount="1e999999999"), "amount_too_large", "amount"),
        (body_with(amount="0.001"), "amount_too_precise", "amount"),
        (body_with(amount="0.1", currency="JPY"), "amount_too_precise", "amount"),
    ],
)
def test_a_body_of_the_wrong_shape_is_refused(text: str, code: str, field: str | None) -> None:
    """Each mistake has its code, and names the field."""
    with pytest.raises(Invalid) as refusal:
        submitted(text)
    assert refusal.value.code == code
    assert refusal.value.extensions.get("field") == field


@pytest.mark.parametrize("blank", ["", " ", "\n", "\t", "\r\n "])
def test_white_space_around_an_amount_means_nothing(blank: str) -> None:
    """JSON may be written prettily."""
    text = body_with(amount="@").replace('"@"', f"{blank}100.10{blank}")
    assert submitted(text).postings[0].amount_minor == 100_10


def test_a_transfer_without_a_currency_is_in_the_default_one() -> None:
    """The schema says which."""
    assert submitted(body_with()).postings == postings(("a", "b", 1_00))
    yen = submitted(body_with(currency="JPY", amount=7))
    assert yen.postings == postings(("a", "b", 7, "JPY"))


@pytest.mark.parametrize(
    "text, code, field",
    [
        ("[]", "body_invalid", None),
        ('{"extra":1}', "body_invalid", None),
        ('{"metadata":{"a":[]}}', "body_invalid", "metadata[...]"),
        ('{"currency":5}', "body_invalid", "currency"),
        ('{"description":5}', "body_invalid", "description"),
        ('{"idempotencyKey":5}', "body_invalid", "idempotencyKey"),
        ('{"amount":01}', "body_not_json", None),
        ('{"amount":null}', "amount_not_a_number", "amount"),
        ('{"amount":0}', "amount_not_positive", "amount"),
        ('{"amount":0.001}', "amount_too_precise", "amount"),
        ('{"amount":0.1,"currency":"JPY"}', "amount_too_precise", "amount"),
        ('{"amount":1,"currency":"QQQ"}', "currency_unknown", "currency"),
        ('{"currency":"QQQ"}', "currency_unknown", "currency"),
        ('{"currency":""}', "currency_unknown", "currency"),
        # In a refusal's detail this would reach a text column, and stop the projector for good.
        ('{"currency":"\\u0000"}', "currency_unknown", "currency"),
        ('{"description":"\\u0000"}', "control_character", "description"),
    ],
)
def test_a_refund_body_of_the_wrong_shape_is_refused(
    text: str, code: str, field: str | None
) -> None:
    """As strict as a submission."""
    with pytest.raises(Invalid) as refusal:
        reversal(text)
    assert refusal.value.code == code
    assert refusal.value.extensions.get("field") == field


@pytest.mark.parametrize(
    "text, parts",
    [
        ("{}", None),
        ('{"amount":"1.50"}', (Part(0, 150),)),
        ('{"amount":7,"currency":"JPY"}', (Part(0, 7, "JPY"),)),
    ],
)
def test_a_refund_is_of_an_amount_or_of_all_that_is_left(
    text: str, parts: tuple[Part, ...] | None
) -> None:
    """Without an amount no currency is assumed: the original says it."""
    assert reversal(text) == Refund(ledger=LEDGER, key="k", about=ABOUT, parts=parts)


def test_a_refund_is_in_the_currency_of_what_it_refunds() -> None:
    """An amount without a currency is read with the original's decimals."""
    original = msgspec.structs.replace(POSTED, postings=postings(("a", "b", 9, "JPY")))
    body = decode(b'{"amount":7}', msgspec.json.Decoder(FollowUpBody))
    command = followup_requests.refund(LEDGER, "k", ABOUT, original, body, schemas.load())
    assert command.parts == (Part(0, 7),)


@pytest.mark.parametrize(
    "text, limit",
    [("none", 0), ("unlimited", None), (None, msgspec.UNSET), ("12.34", 12_34), ("0.01", 1)],
)
def test_an_overdraft_limit_is_a_word_or_an_amount(
    text: str | None, limit: int | msgspec.UnsetType | None
) -> None:
    """Nothing given leaves it to the class, or as it is."""
    parse: Callable[..., object] = account_requests._overdraft_limit  # noqa: SLF001
    assert parse(text, "USD", SCHEMA) == limit


@pytest.mark.parametrize("text", ["", "-1", "NONE", "1.234", '"5"', "NaN", "1" * 39])
def test_what_is_no_overdraft_limit_is_refused(text: str) -> None:
    """Precisely, as an amount is."""
    parse: Callable[..., object] = account_requests._overdraft_limit  # noqa: SLF001
    with pytest.raises(Invalid):
        parse(text, "USD", SCHEMA)


def test_an_overdraft_limit_reads_back_as_it_is_shown() -> None:
    """An account without overdraft shows "0.00", which must be good to send again."""
    parse: Callable[..., object] = account_requests._overdraft_limit  # noqa: SLF001
    assert parse("0.00", "USD", SCHEMA) == 0

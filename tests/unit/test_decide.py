"""Every refusal, one row each, in order of precedence; and what is asked wrongly at all."""

from collections.abc import Callable
from itertools import combinations
from typing import Any
from uuid import UUID

import msgspec
import pytest

from command_side import routes
from command_side.accounts import Account
from command_side.commands import (
    ChangeAccount,
    Command,
    OpenAccount,
    Refund,
    Transfer,
    accounts_of,
    check_account_id,
    check_attachments,
    check_key,
)
from command_side.decide import Decision, Original, State, decide, refused
from command_side.rejections import Code, Rejection
from events import schema as schemas
from events.vocabulary import (
    AccountChanged,
    AccountOpened,
    Event,
    Metadata,
    Posting,
    Side,
    Status,
    TransferPosted,
    TransferRejected,
)
from runtime.http import decode
from runtime.problems import Invalid
from tests.unit.examples import NOON, SCHEMA, SCHEMA_TEXT

ORIGINAL = UUID("0d9f2c8e-6f3b-5e0a-8c1d-2b4a6c8e0f12")
LEDGER = "main"


Fields = Any  # Whatever a struct takes; mypy cannot follow `**` into its fields.


def account(account_id: str, **policy: Fields) -> Account:
    """Return an open account in USD with 500.00 in it, but for what `policy` says."""
    kind = SCHEMA.class_of(account_id)
    fields: dict[str, Any] = {
        "ledger": LEDGER,
        "account_id": account_id,
        "account_class": "customer" if kind is None else kind.name,
        "currency": "USD",
        "normal_side": Side.CREDIT if kind is None else kind.normal_side,
        "overdraft_limit": 0,
        "credits_posted": 500_00,
    }
    return Account(**fields | policy)


def state(*accounts: Account, original: Event | None = None, refunded: int = 0) -> State:
    """Return a state with these accounts, and perhaps a transaction that may be refunded."""
    return State(
        accounts={(found.ledger, found.account_id): found for found in accounts},
        originals={} if original is None else {ORIGINAL: Original(original, refunded)},
    )


def transfer(
    source: str = "customer:a", destination: str = "customer:b", **fields: Fields
) -> Transfer:
    """Return a transfer of 1.00 USD, but for what `fields` say."""
    given: dict[str, Any] = {"ledger": LEDGER, "key": "k", "amount": 1_00, "currency": "USD"}
    return Transfer(source=source, destination=destination, **given | fields)


def refund(**fields: Fields) -> Refund:
    """Return a refund of all that is left, but for what `fields` say."""
    given: dict[str, Any] = {"ledger": LEDGER, "key": "r", "refund_of": ORIGINAL}
    return Refund(**given | fields)


def change(account_id: str = "customer:a", **fields: Fields) -> ChangeAccount:
    """Return a change of nothing, but for what `fields` say."""
    given: dict[str, Any] = {"ledger": LEDGER, "account_id": account_id, "currency": "USD"}
    return ChangeAccount(**given | fields)


def opening(account_id: str, **fields: Fields) -> OpenAccount:
    """Return the command that opens an account in USD, but for what `fields` say."""
    given: dict[str, Any] = {"ledger": LEDGER, "account_id": account_id, "currency": "USD"}
    return OpenAccount(**given | fields)


def posted(**fields: Fields) -> TransferPosted:
    """Return the transaction that moved 10.00 USD from customer:a to customer:b."""
    postings = (Posting("customer:a", "customer:b", "1000", "USD"),)
    given: dict[str, Any] = {"ledger": LEDGER, "key": "o", "fingerprint": "", "postings": postings}
    return TransferPosted(**given | {"recorded_at": NOON} | fields)


def decided(command: Command, given: State) -> Decision:
    """Decide by the example schema."""
    return decide(command, given, SCHEMA, NOON)


A, B = account("customer:a"), account("customer:b")
REJECTED = refused(transfer(), Rejection(Code.ACCOUNT_CLOSED, ""), NOON)
OPENED = AccountOpened(
    ledger=LEDGER,
    account_id="customer:a",
    account_class="customer",
    currency="USD",
    normal_side=Side.CREDIT,
    overdraft_limit="0",
    recorded_at=NOON,
)

REFUSALS: list[tuple[Code, Command, State]] = [
    (Code.TRANSACTION_NOT_FOUND, refund(), state(A, B)),
    (Code.TRANSACTION_NOT_FOUND, refund(ledger="other"), state(A, B, original=posted())),
    (Code.TRANSACTION_NOT_FOUND, refund(), state(A, B, original=OPENED)),
    (Code.TRANSACTION_NOT_REFUNDABLE, refund(), state(A, B, original=REJECTED)),
    (
        Code.TRANSACTION_NOT_REFUNDABLE,
        refund(),
        state(A, B, original=posted(refund_of=UUID(int=1))),
    ),
    (Code.ACCOUNT_NOT_FOUND, transfer(source="no-class"), state(B)),
    (Code.ACCOUNT_NOT_FOUND, transfer(destination="no-class"), state(A)),
    (Code.ACCOUNT_NOT_FOUND, transfer(destination="listed:x"), state(A)),
    (
        Code.ACCOUNT_NOT_FOUND,
        transfer(source="listed:a"),
        state(account("listed:a", ledger="other"), B),
    ),
    (Code.ACCOUNT_NOT_FOUND, opening("no-class"), state()),
    (Code.ACCOUNT_NOT_FOUND, change(status=Status.FROZEN), state(B)),
    (Code.ACCOUNT_EXISTS, opening("customer:a", currency="EUR"), state(A)),
    (Code.ACCOUNT_EXISTS, opening("customer:a", overdraft_limit=1), state(A)),
    (Code.ACCOUNT_EXISTS, opening("customer:a", overdraft_limit=None), state(A)),
    (Code.CURRENCY_MISMATCH, transfer(currency="EUR"), state(A, B)),
    (Code.CURRENCY_MISMATCH, transfer(), state(A, account("customer:b", currency="EUR"))),
    (Code.CURRENCY_MISMATCH, refund(currency="EUR"), state(A, B, original=posted())),
    (Code.CURRENCY_MISMATCH, change(overdraft_limit=1, currency="EUR"), state(A)),
    (Code.ACCOUNT_CLOSED, transfer(), state(account("customer:a", status=Status.CLOSED), B)),
    (Code.ACCOUNT_CLOSED, transfer(), state(A, account("customer:b", status=Status.CLOSED))),
    (
        Code.ACCOUNT_CLOSED,
        refund(),
        state(account("customer:a", status=Status.CLOSED), B, original=posted()),
    ),
    (
        Code.ACCOUNT_CLOSED,
        change(status=Status.OPEN),
        state(account("customer:a", status=Status.CLOSED, credits_posted=0)),
    ),
    (Code.ACCOUNT_FROZEN, transfer(), state(account("customer:a", status=Status.FROZEN), B)),
    (Code.ACCOUNT_FROZEN, transfer(), state(A, account("customer:b", status=Status.FROZEN))),
    (
        Code.ACCOUNT_FROZEN,
        refund(),
        state(A, account("customer:b", status=Status.FROZEN), original=posted()),
    ),
    (Code.AMOUNT_OVER_LIMIT, transfer(source="capped:a", amount=100_01), state(B)),
    (Code.AMOUNT_OVER_LIMIT, transfer(destination="capped:a", amount=100_01), state(A)),
    (Code.REFUND_EXCEEDS_ORIGINAL, refund(amount=10_01), state(A, B, original=posted())),
    (Code.REFUND_EXCEEDS_ORIGINAL, refund(amount=1), state(A, B, original=posted(), refunded=1000)),
    (Code.REFUND_EXCEEDS_ORIGINAL, refund(), state(A, B, original=posted(), refunded=1000)),
    (Code.INSUFFICIENT_FUNDS, transfer(amount=500_01), state(A, B)),
    (Code.INSUFFICIENT_FUNDS, transfer(), state(B)),
    (
        Code.INSUFFICIENT_FUNDS,
        refund(),
        state(A, account("customer:b", credits_posted=9_99), original=posted()),
    ),
    (Code.ACCOUNT_NOT_EMPTY, change(status=Status.CLOSED), state(A)),
    (
        Code.ACCOUNT_NOT_EMPTY,
        change(status=Status.CLOSED),
        state(account("customer:a", credits_posted=0, credits_pending=1)),
    ),
    (
        Code.ACCOUNT_NOT_EMPTY,
        change(status=Status.CLOSED),
        state(account("customer:a", credits_posted=0, debits_posted=1, overdraft_limit=9)),
    ),
]


@pytest.mark.parametrize("code, command, given", REFUSALS)
def test_a_refusal_has_its_code(code: Code, command: Command, given: State) -> None:
    """One fault, one code, and a sentence for people."""
    decision = decided(command, given)
    assert isinstance(decision, Rejection)
    assert decision.code is code
    assert decision.detail.endswith(".")


def test_every_code_has_a_row_in_order_of_precedence() -> None:
    """The table above is complete, and reads like the enum."""
    assert list(dict.fromkeys(code for code, _, _ in REFUSALS)) == list(Code)


# What is wrong with one side of a transfer, by the code that it must bring.
SIDE_FAULTS: dict[Code, dict[str, Any]] = {
    Code.CURRENCY_MISMATCH: {"currency": "EUR"},
    Code.ACCOUNT_CLOSED: {"status": Status.CLOSED},
    Code.ACCOUNT_FROZEN: {"status": Status.FROZEN},
    Code.INSUFFICIENT_FUNDS: {"credits_posted": 0},
}
TRANSFER_FAULTS = (
    Code.ACCOUNT_NOT_FOUND,
    Code.CURRENCY_MISMATCH,
    Code.ACCOUNT_CLOSED,
    Code.ACCOUNT_FROZEN,
    Code.AMOUNT_OVER_LIMIT,
    Code.INSUFFICIENT_FUNDS,
)


def faulty_transfer(of_source: set[Code], of_destination: set[Code]) -> tuple[Transfer, State]:
    """Return a transfer with these faults, each on its side, and nothing else wrong."""
    amount = 100_01 if Code.AMOUNT_OVER_LIMIT in of_source | of_destination else 1_00
    ids, accounts = [], []
    for name, faults in (("a", of_source), ("b", of_destination)):
        kind = "customer"
        if Code.ACCOUNT_NOT_FOUND in faults:
            kind = "listed"
        elif Code.AMOUNT_OVER_LIMIT in faults:
            kind = "capped"
        ids.append(f"{kind}:{name}")
        policy: dict[str, Any] = {}
        for fault in faults:
            policy |= SIDE_FAULTS.get(fault, {})
        if Code.ACCOUNT_NOT_FOUND not in faults:
            accounts.append(account(ids[-1], **policy))
    return transfer(*ids, amount=amount), state(*accounts)


@pytest.mark.parametrize("first, second", list(combinations(TRANSFER_FAULTS, 2)))
def test_of_two_faults_of_a_transfer_the_earlier_code_wins(first: Code, second: Code) -> None:
    """Whichever side has which fault, the answer is the enum's first."""
    assert list(Code).index(first) < list(Code).index(second)
    placements = [({second}, {first})]
    if second is not Code.INSUFFICIENT_FUNDS:
        placements.append(({first}, {second}))
    if first is not Code.ACCOUNT_NOT_FOUND and {first, second} != {
        Code.ACCOUNT_CLOSED,
        Code.ACCOUNT_FROZEN,
    }:
        placements.append(({first, second}, set()))
    for of_source, of_destination in placements:
        decision = decided(*faulty_transfer(of_source, of_destination))
        assert isinstance(decision, Rejection)
        assert decision.code is first


REFUND_FAULTS = (
    Code.TRANSACTION_NOT_REFUNDABLE,
    Code.CURRENCY_MISMATCH,
    Code.ACCOUNT_CLOSED,
    Code.ACCOUNT_FROZEN,
    Code.AMOUNT_OVER_LIMIT,
    Code.REFUND_EXCEEDS_ORIGINAL,
    Code.INSUFFICIENT_FUNDS,
)


def faulty_refund(faults: set[Code]) -> tuple[Refund, State]:
    """Return a refund with all these faults at once: of a transaction from customer:a to B."""
    over = Code.AMOUNT_OVER_LIMIT in faults
    payee = "capped:b" if over else "customer:b"
    postings = (Posting("customer:a", payee, "20000" if over else "1000", "USD"),)
    fields: dict[str, Any] = {"postings": postings}
    if Code.TRANSACTION_NOT_REFUNDABLE in faults:
        fields["refund_of"] = UUID(int=1)
    to_payer = {"status": Status.CLOSED} if Code.ACCOUNT_CLOSED in faults else {}
    from_payee: dict[str, Any] = {"status": Status.FROZEN} if Code.ACCOUNT_FROZEN in faults else {}
    if Code.INSUFFICIENT_FUNDS in faults:
        from_payee["credits_posted"] = 0
    command = refund(
        currency="EUR" if Code.CURRENCY_MISMATCH in faults else None,
        amount=200_01 if Code.REFUND_EXCEEDS_ORIGINAL in faults else None,
    )
    given = state(
        account("customer:a", **to_payer),
        account(payee, **from_payee),
        original=posted(**fields),
    )
    return command, given


@pytest.mark.parametrize("first, second", list(combinations(REFUND_FAULTS, 2)))
def test_of_two_faults_of_a_refund_the_earlier_code_wins(first: Code, second: Code) -> None:
    """Also with every fault after the first added."""
    order = list(Code)
    assert order.index(first) < order.index(second)
    later = {code for code in REFUND_FAULTS if order.index(code) >= order.index(second)}
    for faults in ({first, second}, {first} | later):
        decision = decided(*faulty_refund(faults))
        assert isinstance(decision, Rejection)
        assert decision.code is first


@pytest.mark.parametrize(
    "first, second, command, given",
    [
        (
            Code.ACCOUNT_NOT_FOUND,
            Code.ACCOUNT_EXISTS,
            opening("no-class", currency="EUR"),
            state(account("no-class")),
        ),
        (
            Code.CURRENCY_MISMATCH,
            Code.ACCOUNT_CLOSED,
            change(overdraft_limit=1, currency="EUR"),
            state(account("customer:a", status=Status.CLOSED)),
        ),
        (
            Code.CURRENCY_MISMATCH,
            Code.ACCOUNT_NOT_EMPTY,
            change(overdraft_limit=1, currency="EUR", status=Status.CLOSED),
            state(A),
        ),
        (
            Code.ACCOUNT_CLOSED,
            Code.ACCOUNT_NOT_EMPTY,
            change(overdraft_limit=1, status=Status.CLOSED),
            state(account("customer:a", status=Status.CLOSED)),
        ),
    ],
)
def test_of_two_faults_of_an_account_command_the_earlier_code_wins(
    first: Code, second: Code, command: Command, given: State
) -> None:
    """The same precedence holds for opening and changing."""
    assert list(Code).index(first) < list(Code).index(second)
    decision = decided(command, given)
    assert isinstance(decision, Rejection)
    assert decision.code is first


def test_an_overdraft_limit_in_another_currency_is_refused_even_if_the_number_is_the_same() -> None:
    """100 yen are not 1.00 dollars: equal minor units make no equal policy."""
    yen = account("customer:a", currency="JPY", overdraft_limit=100)
    decision = decided(change(overdraft_limit=100, currency="USD"), state(yen))
    assert isinstance(decision, Rejection)
    assert decision.code is Code.CURRENCY_MISMATCH


@pytest.mark.parametrize("status", [Status.CLOSED, Status.FROZEN])
def test_the_same_fault_on_both_sides_always_names_the_source(status: Status) -> None:
    """The same state and command give the same bytes in every process: no set decides an order."""
    for number in range(20):
        source, destination = f"customer:{number}", f"customer:x{number}"
        sides = (account(source, status=status), account(destination, status=status))
        decision = decided(transfer(source, destination), state(*sides))
        assert isinstance(decision, Rejection)
        assert decision.detail.startswith(f"Account {source} ")


@pytest.mark.parametrize(
    "source, amount, accepted",
    [
        (account("customer:a"), 500_00, True),
        (account("customer:a"), 500_01, False),
        (account("customer:a", overdraft_limit=1), 500_01, True),
        (account("customer:a", overdraft_limit=1), 500_02, False),
        (account("customer:a", overdraft_limit=None), 10**38 - 1, True),
        (account("customer:a", debits_pending=1), 500_00, False),
        (account("customer:a", credits_pending=1), 500_01, False),
        (account("customer:a", debits_posted=400_00), 100_00, True),
        (account("customer:a", debits_posted=400_00), 100_01, False),
        (account("customer:a", debits_posted=600_00, overdraft_limit=0), 1, False),
        # Debit-normal: being debited is an increase.
        (account("asset:a", credits_posted=0), 10**9, True),
    ],
)
def test_money_leaves_down_to_the_overdraft_limit(
    source: Account,
    amount: int,
    accepted: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """To the last minor unit and not one further; what is held counts as gone."""
    decision = decided(transfer(source.account_id, amount=amount), state(source, B))
    assert isinstance(decision, Rejection) is not accepted


@pytest.mark.parametrize("held, accepted", [(0, True), (1, False)])
def test_a_debit_normal_account_is_emptied_by_credits(held: int, accepted: bool) -> None:  # noqa: FBT001
    """An asset account pays out as a destination."""
    asset = account("asset:b", credits_posted=0, debits_posted=1_00, credits_pending=held)
    decision = decided(transfer("customer:a", "asset:b"), state(A, asset))
    assert isinstance(decision, Rejection) is not accepted


def test_a_transfer_opens_both_unknown_accounts_first() -> None:
    """By use, in the order of source and destination, with their classes' policies."""
    events = decided(transfer("world", "customer:new", currency="EUR"), state())
    assert not isinstance(events, Rejection)
    world, customer, moved = events
    assert isinstance(world, AccountOpened)
    assert isinstance(customer, AccountOpened)
    assert isinstance(moved, TransferPosted)
    assert (world.account_id, world.overdraft_limit) == ("world", None)
    assert (customer.account_id, customer.overdraft_limit) == ("customer:new", "0")
    assert {world.currency, customer.currency, moved.postings[0].currency} == {"EUR"}


def test_a_refused_transfer_opens_nothing() -> None:
    """A refusal leaves no account behind."""
    given = state()
    assert isinstance(decided(transfer("customer:x", "customer:y"), given), Rejection)
    assert given.accounts == {}


@pytest.mark.parametrize(
    "command, given",
    [
        (opening("customer:a"), state(A)),
        (opening("customer:a", overdraft_limit=0), state(A)),
        (change(), state(A)),
        (change(status=Status.OPEN, overdraft_limit=0), state(A)),
        (change(status=Status.CLOSED), state(account("customer:a", status=Status.CLOSED))),
    ],
)
def test_what_is_so_already_needs_no_event(command: Command, given: State) -> None:
    """Account commands may be repeated."""
    assert list(events_of(decided(command, given))) == []


def events_of(decision: Decision) -> list[Event]:
    """Return the events of a decision that is no refusal."""
    assert not isinstance(decision, Rejection)
    return list(decision)


@pytest.mark.parametrize(
    "command, status, limit",
    [
        (change(status=Status.FROZEN), Status.FROZEN, "0"),
        (change(overdraft_limit=700), Status.OPEN, "700"),
        (change(overdraft_limit=None, currency="EUR"), Status.OPEN, None),
        (change(status=Status.FROZEN, overdraft_limit=None), Status.FROZEN, None),
    ],
)
def test_a_change_says_the_whole_policy(
    command: ChangeAccount, status: Status, limit: str | None
) -> None:
    """What is not mentioned stays as it was."""
    (event,) = events_of(decided(command, state(A)))
    assert isinstance(event, AccountChanged)
    assert (event.status, event.overdraft_limit) == (status, limit)


def test_an_empty_account_closes() -> None:
    """Zero, with nothing held, is the condition."""
    (event,) = events_of(
        decided(change(status=Status.CLOSED), state(account("customer:a", debits_posted=500_00)))
    )
    assert isinstance(event, AccountChanged)
    assert event.status is Status.CLOSED


def test_a_refund_reverses_sides_and_takes_what_is_left() -> None:
    """Without an amount it gives back the rest, in the original's currency."""
    (event,) = events_of(decided(refund(), state(A, B, original=posted(), refunded=3_00)))
    assert isinstance(event, TransferPosted)
    assert event.postings == (Posting("customer:b", "customer:a", "700", "USD"),)
    assert event.refund_of == ORIGINAL


def test_a_refusal_is_an_event_with_the_whole_command_in_its_fingerprint() -> None:
    """Retries are answered from it."""
    command = transfer(description="d", metadata={"m": 1})
    event = refused(command, Rejection(Code.INSUFFICIENT_FUNDS, "No."), NOON)
    assert isinstance(event, TransferRejected)
    assert event.fingerprint == command.fingerprint
    assert (event.code, event.detail, event.description) == ("insufficient_funds", "No.", "d")
    assert event.postings == (Posting("customer:a", "customer:b", "100", "USD"),)
    assert refused(refund(), Rejection(Code.TRANSACTION_NOT_FOUND, "No."), NOON).postings == ()


def test_a_fingerprint_differs_with_every_field_and_not_with_order() -> None:
    """One key, two commands: any difference is noticed; the order of metadata is none."""
    base = transfer(description="d", metadata={"a": 1, "b": "x"})
    differing: list[Transfer | Refund] = [
        base,
        msgspec.structs.replace(base, source="customer:c"),
        msgspec.structs.replace(base, destination="customer:c"),
        msgspec.structs.replace(base, amount=10**37),
        msgspec.structs.replace(base, currency="EUR"),
        msgspec.structs.replace(base, description=None),
        msgspec.structs.replace(base, metadata=None),
        msgspec.structs.replace(base, metadata={"a": "1", "b": "x"}),
        msgspec.structs.replace(base, ledger="other"),
        msgspec.structs.replace(base, key="other"),
        refund(),
        refund(amount=1),
        refund(refund_of=UUID(int=9)),
    ]
    assert len({command.fingerprint for command in differing}) == len(differing)
    other_order = msgspec.structs.replace(base, metadata={"b": "x", "a": 1})
    assert other_order.fingerprint == base.fingerprint


def test_a_command_names_its_accounts() -> None:
    """The writer loads these."""
    assert accounts_of(transfer()) == ("customer:a", "customer:b")
    assert accounts_of(opening("world")) == accounts_of(change("world")) == ("world",)
    assert accounts_of(refund()) == ()


# The shape of requests: nothing of this is ever appended.

BODY = '{"transaction": {"source_account_id": "a", "destination_account_id": "b", "amount": 1%s}%s}'
LONG_ID = "a" * 129


def submitted(text: str) -> Transfer:
    """Return the command in the body of `POST /transactions`."""
    default = schemas.load()
    body = decode(text.encode(), msgspec.json.Decoder(routes.SubmitBody))
    return routes.transfer(LEDGER, "k", body.transaction, default)


def reversal(text: str) -> Refund:
    """Return the command in the body of `POST /transactions/{id}/refund`."""
    body = decode(text.encode(), msgspec.json.Decoder(routes.RefundBody))
    return routes.reversal(LEDGER, "k", ORIGINAL, "USD", body, schemas.load())


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
        (body_with(amount=None), "body_invalid", "transaction"),
        (body_with(source_account_id=None), "body_invalid", "transaction"),
        (body_with(destination_account_id=None), "body_invalid", "transaction"),
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
        (body_with(currency="XXX"), "currency_unknown", "currency"),
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
    assert submitted(text).amount == 100_10


def test_a_transfer_without_a_currency_is_in_the_default_one() -> None:
    """The schema says which."""
    assert submitted(body_with()).currency == "USD"
    assert submitted(body_with(currency="JPY", amount=7)).amount == 7


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
        ('{"amount":1,"currency":"XXX"}', "currency_unknown", "currency"),
        ('{"currency":"XXX"}', "currency_unknown", "currency"),
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
    "text, amount, currency",
    [
        ("{}", None, None),
        ('{"amount":"1.50"}', 150, "USD"),
        ('{"amount":7,"currency":"JPY"}', 7, "JPY"),
        ('{"currency":"EUR"}', None, "EUR"),
    ],
)
def test_a_refund_is_of_an_amount_or_of_all_that_is_left(
    text: str, amount: int | None, currency: str | None
) -> None:
    """Without an amount no currency is assumed: the original says it."""
    assert reversal(text) == Refund(
        ledger=LEDGER, key="k", refund_of=ORIGINAL, amount=amount, currency=currency
    )


def test_a_refund_is_in_the_currency_of_what_it_refunds() -> None:
    """An amount without a currency is read with the original's decimals."""
    body = decode(b'{"amount":7}', msgspec.json.Decoder(routes.RefundBody))
    command = routes.reversal(LEDGER, "k", ORIGINAL, "JPY", body, schemas.load())
    assert (command.amount, command.currency) == (7, "JPY")


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
    check_attachments(None, {"order": 1, "shop": None}, strict)
    cases: list[tuple[Metadata | None, str]] = [
        (None, "order, shop"),
        ({}, "order, shop"),
        ({"order": 1}, "shop"),
    ]
    for metadata, named in cases:
        with pytest.raises(Invalid, match=f"keys {named}") as refusal:
            check_attachments(None, metadata, strict)
        assert refusal.value.code == "metadata_required"


@pytest.mark.parametrize("allowed", ["\t", "\n", "\r\n", "é", "😀", "\u200f", "'; DROP TABLE"])
def test_text_of_people_is_allowed(allowed: str) -> None:
    """Only control characters that no reader wants are refused."""
    check_attachments(allowed, {allowed: allowed}, SCHEMA)


@pytest.mark.parametrize(
    "text, limit",
    [("none", 0), ("unlimited", None), (None, msgspec.UNSET), ("12.34", 12_34), ("0.01", 1)],
)
def test_an_overdraft_limit_is_a_word_or_an_amount(
    text: str | None, limit: int | msgspec.UnsetType | None
) -> None:
    """Nothing given leaves it to the class, or as it is."""
    parse: Callable[..., object] = routes._overdraft_limit  # noqa: SLF001 - pure, and only here
    assert parse(text, "USD", SCHEMA) == limit


@pytest.mark.parametrize("text", ["", "-1", "NONE", "1.234", '"5"', "NaN", "1" * 39])
def test_what_is_no_overdraft_limit_is_refused(text: str) -> None:
    """Precisely, as an amount is."""
    parse: Callable[..., object] = routes._overdraft_limit  # noqa: SLF001
    with pytest.raises(Invalid):
        parse(text, "USD", SCHEMA)


def test_an_overdraft_limit_reads_back_as_it_is_shown() -> None:
    """An account without overdraft shows "0.00", which must be good to send again."""
    parse: Callable[..., object] = routes._overdraft_limit  # noqa: SLF001
    assert parse("0.00", "USD", SCHEMA) == 0

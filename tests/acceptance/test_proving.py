"""Proving over HTTP and on the command line, against the running program and its own key."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from daybook.embedded.up import Service, seal_key
from sealing import key_file, merkle, receipts, signed_notes, tiles
from sealing.signed_notes import Verifier
from tests.acceptance.conftest import OpenLedger
from tests.acceptance.driver import (
    API,
    READABLE,
    Finished,
    Ledger,
    environment,
    new_key,
    problem,
    run,
)


@pytest.fixture
def key(service: Service) -> Verifier:
    """Return the public key of the running program."""
    return key_file.signers(str(seal_key(service.data)))[0].verifier


async def receipt_of(ledger: Ledger, transaction_id: str) -> bytes:
    """Return a transaction's receipt, once it is sealed."""
    path = f"{API}/transactions/{transaction_id}/receipt"
    answer = await ledger.http.get(path, headers=READABLE)
    assert answer.status_code == 200, answer.text
    return answer.content


async def checkpoint(ledger: Ledger, position: int, key: Verifier) -> signed_notes.SignedCheckpoint:
    """Return the latest checkpoint, of at least `position` events."""
    headers = {"Daybook-Min-Position": str(position), **READABLE}
    answer = await ledger.http.get(f"{API}/seal/checkpoint", headers=headers)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    signed = signed_notes.checkpoint(signed_notes.opened(answer.text, [key]))
    assert answer.headers["Daybook-Position"] == str(signed.size)
    return signed


def decoded(nodes: list[str]) -> list[bytes]:
    """Return hashes of an answer."""
    return [base64.b64decode(node) for node in nodes]


async def test_a_receipt_has_every_event_of_a_transaction(ledger: Ledger, key: Verifier) -> None:
    """A hold, and then how it ended; each is proven by the signed root."""
    await ledger.fund("payer")
    hold = await ledger.posted(source="payer", destination="shop", amount="5.00", pending=True)
    first = receipts.read(await receipt_of(ledger, hold["id"]))
    assert [event.topic for event in first.events] == ["hold.placed"]
    assert receipts.check(first, [key]) == []
    assert json.loads(first.events[0].state)["ledger"] == ledger.name


async def test_a_refusal_has_a_receipt(ledger: Ledger, key: Verifier) -> None:
    """It is an event like any other."""
    answer = await ledger.submit(new_key(), source="pauper", destination="shop", amount="5.00")
    transaction_id = problem(answer, 422, "insufficient_funds")["transactionId"]
    receipt = receipts.read(await receipt_of(ledger, transaction_id))
    assert [event.topic for event in receipt.events] == ["transfer.rejected"]
    assert receipts.check(receipt, [key]) == []


@pytest.mark.parametrize("change", ["state", "position", "version", "salt", "proof", "checkpoint"])
async def test_a_receipt_that_was_changed_is_not_genuine(
    ledger: Ledger, key: Verifier, change: str
) -> None:
    """Whatever part of it."""
    posted = await ledger.posted(amount="5.00")
    body: dict[str, Any] = json.loads(await receipt_of(ledger, posted["id"]))
    event = body["events"][0]
    match change:
        case "state":
            event["state"] = event["state"].replace('"500"', '"900"')
        case "position" | "version":
            event[change] += 1
        case "salt":
            event["salt"] = base64.b64encode(bytes(16)).decode()
        case "proof":
            event["proof"] = event["proof"][::-1]
        case _:
            body["checkpoint"] = body["checkpoint"].replace("\n", " \n", 1)
    assert receipts.check(receipts.read(json.dumps(body).encode()), [key]) != []


async def test_a_receipt_is_the_ledgers_own(open_ledger: OpenLedger) -> None:
    """Another ledger's, an account's stream and nothing at all are the same: not found."""
    mine, theirs = await open_ledger(), await open_ledger()
    posted = await theirs.posted(amount="5.00")
    for transaction_id in (posted["id"], "nothing", "00000000-0000-4000-8000-000000000000"):
        answer = await mine.http.get(f"{API}/transactions/{transaction_id}/receipt")
        body = problem(answer, 404, "transaction_not_found")
        assert body["detail"] == f"There is no transaction '{transaction_id}'."


async def test_one_checkpoint_follows_from_another(ledger: Ledger, key: Verifier) -> None:
    """By a proof of consistency, which any client can check."""
    first = await checkpoint(ledger, (await ledger.posted(amount="1.00"))["position"], key)
    second = await checkpoint(ledger, (await ledger.posted(amount="1.00"))["position"], key)
    assert first.size < second.size
    path = f"/seal/consistency?from={first.size}&to={second.size}"
    shown = await ledger.get(path)
    for name, signed in (("from", first), ("to", second)):
        assert (shown[name]["size"], *decoded([shown[name]["root"]])) == (signed.size, signed.root)
    merkle.check_consistency(
        first.size, first.root, second.size, second.root, decoded(shown["proof"])
    )
    whole = await ledger.get(f"/seal/consistency?from=0&to={second.size}")
    assert decoded([whole["from"]["root"]]) == [merkle.EMPTY_ROOT]


@pytest.mark.parametrize(
    "query", ["", "?from=1", "?to=1", "?from=2&to=1", "?from=-1&to=2", "?from=x&to=1"]
)
async def test_sizes_that_cannot_be_are_refused(ledger: Ledger, query: str) -> None:
    """And a size that the log has not come to."""
    await ledger.posted(amount="1.00")
    for asked in (query, f"?from=1&to={2**63 - 1}", f"?from=1&to=1{'0' * 30}"):
        answer = await ledger.http.get(f"{API}/seal/consistency{asked}")
        problem(answer, 400, "position_invalid")
    answer = await ledger.http.get(f"{API}/seal/consistency?size=1")
    problem(answer, 400, "parameter_unknown")


async def test_tiles_are_the_tree(ledger: Ledger, key: Verifier) -> None:
    """A client gets the root from nothing but tiles; a narrower tile is the first part."""
    signed = await checkpoint(ledger, (await ledger.posted(amount="1.00"))["position"], key)
    last: dict[int, bytes] = {}
    for level, index in tiles.edge(signed.size):
        width = tiles.width_at(level, index, signed.size)
        answer = await ledger.http.get(f"{API}/seal/tile/{tiles.path(level, index, width)}")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert len(answer.content) == width * merkle.HASH_BYTES
        last[level] = answer.content
        narrow = await ledger.http.get(f"{API}/seal/tile/{tiles.path(level, index, 1)}")
        assert narrow.content == answer.content[: merkle.HASH_BYTES]
    assert tiles.root(signed.size, last) == signed.root


@pytest.mark.parametrize(
    "path", ["0/0", "0/x000/000", "8/000", "entries/000", "x/000", "0/000.p/0"]
)
async def test_what_is_no_tile_is_refused(ledger: Ledger, path: str) -> None:
    """Entries are of all ledgers, and are none either."""
    await ledger.posted(amount="1.00")
    problem(await ledger.http.get(f"{API}/seal/tile/{path}"), 400, "tile_invalid")
    problem(await ledger.http.get(f"{API}/seal/tile/0/x999/999"), 404, "tile_not_found")


async def test_a_receipt_is_checked_offline(
    service: Service, ledger: Ledger, key: Verifier, tmp_path: Path
) -> None:
    """No server, no setting: the file and the key; exit code 1 for one that is not genuine."""
    posted = await ledger.posted(amount="5.00")
    file = tmp_path / "receipt.json"
    file.write_bytes(await receipt_of(ledger, posted["id"]))

    async def checked(*arguments: str) -> Finished:
        return await run("verify", "--receipt", str(file), *arguments, env=environment(None))

    done = await checked("--key", str(key))
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith(f"position {posted['position']:,}\ngenuine\n")
    other = signed_notes.Signer(key.name, bytes(32)).verifier
    done = await checked("--key", str(other), "--json")
    assert done.code == 1
    shown = json.loads(done.out)
    assert not shown["intact"]
    assert [each["kind"] for each in shown["findings"]] == ["receipt_signature_invalid"]
    file.write_text("{}")
    done = await checked("--key", str(key))
    assert done.code == 2
    assert done.err.startswith("daybook: this is no receipt")


async def test_the_whole_log_is_verified_and_exported(
    service: Service, ledger: Ledger, key: Verifier, tmp_path: Path
) -> None:
    """Against the running program, by its own key; JSON says the same as the text."""
    posted = await ledger.posted(amount="5.00")
    await receipt_of(ledger, posted["id"])
    env = environment(service, DAYBOOK_SEAL_KEY_FILE=str(seal_key(service.data)))
    done = await run("verify", env=env)
    assert (done.code, done.err.strip()) == (0, "")
    assert done.out.endswith("intact\n")
    options = ("--key", str(key), "--checkpoints", str(tmp_path / "none"), "--json")
    shown = json.loads((await run("verify", *options, env=env)).out)
    assert shown["intact"]
    assert shown["sealed"] >= posted["position"]
    assert (shown["findings"], shown["checkpoints_off_the_box"]) == ([], 0)
    folder = tmp_path / "export"
    exported = json.loads((await run("seal-export", str(folder), "--json", env=env)).out)
    signed = signed_notes.checkpoint(
        signed_notes.opened((folder / "checkpoint").read_text(), [key])
    )
    assert signed.size == exported["size"] >= posted["position"]


async def test_a_key_is_made_once_and_shown_again(tmp_path: Path) -> None:
    """Nobody else can read the file; nobody overwrites it; only the public half is printed."""
    file = tmp_path / "seal.key"
    env = environment(None)
    made = await run("seal-key", str(file), "--name", "example.com/log", env=env)
    assert made.code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert made.out.startswith("example.com/log+")
    assert made.out.strip().split("+", 2)[2] not in text
    again = await run("seal-key", str(file), "--json", env=env)
    assert json.loads(again.out)["key"] == made.out.strip()
    assert file.read_text() == text
    refused = await run("seal-key", str(tmp_path / "no/such"), env=env)
    assert (refused.code, refused.out) == (2, "")


async def test_without_a_key_the_sealer_says_what_to_do(service: Service) -> None:
    """One line, and exit code 2."""
    done = await run("seal", env=environment(service))
    assert done.code == 2
    assert "DAYBOOK_SEAL_KEY_FILE" in done.err
    assert "Traceback" not in done.err

"""Receipts: all that shows, without any server, that a transaction is in a signed log. Pure."""

import base64
import binascii
from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec

from sealing import merkle, signed_notes
from sealing.findings import Finding, FindingKind
from sealing.leaves import Leaf
from sealing.merkle import ProofError
from sealing.signed_notes import NoteError, Verifier

FORMAT: Literal["daybook.receipt.v1"] = "daybook.receipt.v1"
PROOF_HASHES_MAX = 64


class ReceiptError(ValueError):
    """A file that is no receipt."""


class ReceiptEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event's row of the log, its leaf, and the way from there to the root.

    `state` is the very text that is stored; `salt` and the hashes are base64.
    """

    position: int
    stream_id: UUID
    version: int
    topic: str
    state: str
    salt: str
    leaf_index: int
    proof: list[str]


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A transaction's events so far, and the signed checkpoint that they are under."""

    format: Literal["daybook.receipt.v1"]
    transaction_id: UUID
    checkpoint: str
    events: list[ReceiptEvent]


_DECODER = msgspec.json.Decoder(Receipt)


def event(leaf: Leaf, proof: Sequence[bytes]) -> ReceiptEvent:
    """Return what a receipt says of one event."""
    return ReceiptEvent(
        leaf.position,
        leaf.originator_id,
        leaf.originator_version,
        leaf.topic,
        leaf.state.decode(),
        base64.b64encode(leaf.salt).decode(),
        leaf.position - 1,
        [base64.b64encode(node).decode() for node in proof],
    )


def read(text: bytes) -> Receipt:
    """Read a receipt. Raises ReceiptError."""
    try:
        receipt = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReceiptError(f"this is no receipt: {error}") from error
    if not receipt.events:
        raise ReceiptError("this is no receipt: it has no event")
    return receipt


def check(receipt: Receipt, verifiers: Sequence[Verifier]) -> list[Finding]:
    """Return what is wrong with a receipt: nothing, if its events are in a log that was signed."""
    try:
        signed = signed_notes.checkpoint(signed_notes.opened(receipt.checkpoint, verifiers))
    except NoteError as error:
        return [
            Finding(
                kind=FindingKind.RECEIPT_SIGNATURE_INVALID,
                explanation=f"The checkpoint is not signed by a key that you trust: {error}.",
            )
        ]
    return [
        Finding(
            kind=FindingKind.RECEIPT_CONTRADICTED,
            position=each.position,
            explanation=(
                f"The event at position {each.position} is not what was sealed there: {wrong}."
            ),
        )
        for each in receipt.events
        if (wrong := _wrong(each, receipt.transaction_id, signed))
    ]


def _wrong(
    each: ReceiptEvent, transaction_id: UUID, signed: signed_notes.SignedCheckpoint
) -> str | None:
    if each.stream_id != transaction_id:
        return "it is of another transaction"
    if each.leaf_index != each.position - 1:
        return "its position is not that of its leaf"
    try:
        leaf = Leaf(
            _decoded(each.salt),
            each.position,
            each.stream_id,
            each.version,
            each.topic,
            each.state.encode(),
        )
        hashed = merkle.leaf_hash(leaf.encoded())
        proof = [_decoded(node) for node in each.proof[:PROOF_HASHES_MAX]]
        root = merkle.root_from_inclusion(hashed, each.leaf_index, signed.size, proof)
    except (ProofError, OverflowError, binascii.Error, UnicodeEncodeError) as error:
        return str(error)
    return None if root == signed.root else "the proof leads to another root than the signed one"


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)

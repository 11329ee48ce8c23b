"""From a command to its event: the fields that every event of a transaction has. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from command_side.domain.commands import Capture, Keyed, Movement, Refund, Transfer
from command_side.domain.rejections import Rejection
from events.types import Posting, TransactionEvent, TransferRejected


def fields(command: Keyed, postings: Sequence[Posting], recorded_at: datetime) -> dict[str, Any]:
    """Return the fields of an event that `command` causes."""
    made = {
        "ledger": command.ledger,
        "key": command.key,
        "fingerprint": command.fingerprint,
        "postings": tuple(postings),
        "recorded_at": recorded_at,
        "kind": command.kind,
        "description": command.description,
        "reference": command.reference,
        "metadata": command.metadata,
    }
    if isinstance(command, Movement):
        made["rate"] = command.rate
    else:
        made["about"] = command.about
    if isinstance(command, Transfer | Refund | Capture):
        made["effective_at"] = command.effective_at
    return made


def copied(event: TransactionEvent, recorded_at: datetime) -> dict[str, Any]:
    """Return the fields of the event that ends what `event` began."""
    names = TransactionEvent.__struct_fields__
    return {name: getattr(event, name) for name in names} | {"recorded_at": recorded_at}


def refused(command: Keyed, rejection: Rejection, recorded_at: datetime) -> TransferRejected:
    """Return the event that keeps a refusal, so that every retry gets the same answer."""
    postings = command.postings if isinstance(command, Movement) else ()
    return TransferRejected(
        **fields(command, postings, recorded_at), code=rejection.code, detail=rejection.detail
    )

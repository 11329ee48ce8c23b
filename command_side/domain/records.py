"""Events that end what an earlier event began, or that keep a refusal. Pure."""

from datetime import datetime
from typing import Any

from command_side.domain.commands import Keyed, Movement
from command_side.domain.rejections import Rejection
from events.types import TransactionEvent, TransferRejected


def copied(event: TransactionEvent, recorded_at: datetime) -> dict[str, Any]:
    """Return the fields of the event that ends what `event` began."""
    names = TransactionEvent.__struct_fields__
    return {name: getattr(event, name) for name in names} | {"recorded_at": recorded_at}


def refused(command: Keyed, rejection: Rejection, recorded_at: datetime) -> TransferRejected:
    """Return the event that keeps a refusal, so that every retry gets the same answer."""
    postings = command.postings if isinstance(command, Movement) else ()
    return TransferRejected(
        **command.event_fields(postings, recorded_at),
        code=rejection.code,
        detail=rejection.detail,
    )

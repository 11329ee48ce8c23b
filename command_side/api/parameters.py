"""The paths, query strings and headers of the command side's operations."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from web import freshness


class Mode(StrEnum):
    """How the transactions of a batch are decided."""

    INDEPENDENT = "independent"
    ATOMIC = "atomic"


class OfTransaction(Struct, frozen=True, kw_only=True):
    """The path of an earlier transaction."""

    transaction_id: Annotated[
        UUID,
        Meta(
            description="The `messageId` of the submission.",
            extra={"code": "transaction_id_invalid"},
        ),
    ]


class OfAccount(Struct, frozen=True, kw_only=True):
    """The path of an account."""

    account_id: Annotated[
        str,
        Meta(
            max_length=128,
            description="The id that the client chose.",
            extra={"code": "account_id_invalid"},
        ),
    ]


class Rehearsable(Struct, frozen=True, kw_only=True):
    """The query of a command that may be rehearsed."""

    dry_run: Annotated[
        bool,
        Meta(
            description="`true`: only answer what would be decided now; nothing is appended.",
            extra={"code": "dry_run_invalid"},
        ),
    ] = False


class OfBatch(Rehearsable, frozen=True, kw_only=True):
    """The query of a batch."""

    mode: Annotated[
        Mode,
        Meta(
            description="Each transaction alone, or all of them or none.",
            extra={"code": "mode_invalid"},
        ),
    ] = Mode.INDEPENDENT


class MayWait(Struct, frozen=True, kw_only=True):
    """The headers of a submission that may wait for its result."""

    prefer: (
        Annotated[
            int,
            freshness.wait(
                "`wait=S`: wait up to S whole seconds until the result is readable, and answer "
                "200 with it."
            ),
        ]
        | None
    ) = None


class Keyed(MayWait, frozen=True, kw_only=True):
    """The headers of a submission with an idempotency key."""

    idempotency_key: (
        Annotated[
            str,
            Meta(
                max_length=255,
                description="The key, instead of `idempotencyKey` in the body. If both are sent "
                "they must be equal.",
                extra={"code": "idempotency_key_invalid"},
            ),
        ]
        | None
    ) = None

"""What a stage costs when nothing else is done: the product's own functions, tables and SQL."""

from collections.abc import Sequence

import msgspec


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage takes alone: CPU a transfer, of one process.

    `stages`, (process, name), are those that it is the limit of; of batches only if `batched`.
    """

    name: str
    us: float
    stages: list[tuple[str, str]] = []
    batched: bool = True


def of_load(limits: Sequence[Limit], *, batched: bool) -> dict[tuple[str, str], float]:
    """Return the limits of each stage under one of both loads."""
    return {
        stage: limit.us
        for limit in limits
        if limit.batched or not batched
        for stage in limit.stages
    }

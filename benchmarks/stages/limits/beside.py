"""Valkey and SQS alone: claims as the writer makes them, an envelope as the relay sends it."""

import os
from collections.abc import Sequence
from unittest import mock

import msgspec

from benchmarks.service import Bench
from benchmarks.stages.limits.clock import Spent, spending
from command_side.domain.commands import Transfer
from command_side.relay import MESSAGE_GROUP
from command_side.writer.idempotency import Idempotency
from daybook.embedded import servers
from events.envelope import Envelope
from events.types import Posting
from runtime import queue as queues
from runtime.cache import Cache

REMEMBERED_S = 3_600
QUEUE = "bench-stages.fifo"


async def claiming(bench: Bench, count: int, at_once: int) -> Spent:
    """Claim `count` commands, so many in a round trip."""
    spent, pid = Spent(), bench.service.pids()["valkey"]
    cache = Cache(bench.service.cache_url)
    idempotency = Idempotency(cache, REMEMBERED_S)
    rounds = [
        [_transfer(f"limit-{at_once}-{number}") for number in range(first, first + at_once)]
        for first in range(0, count, at_once)
    ]
    try:
        with spending(spent, pid):
            for commands in rounds:
                assert not await idempotency.claim(commands)
    finally:
        await cache.close()
    return spent


def _transfer(key: str) -> Transfer:
    posting = Posting("external:1", "account-1", 1234, "USD")
    return Transfer(ledger="stages", key=key, postings=(posting,))


class Queueing(msgspec.Struct, frozen=True):
    """CPU of sending, and of receiving and deleting: the client's, and the SQS API's."""

    sending: Spent
    receiving: Spent


async def queueing(bench: Bench, envelopes: Sequence[Envelope]) -> Queueing:
    """Send the envelopes to a queue of their own, then receive and delete all of them."""
    spent, pid = Queueing(Spent(), Spent()), bench.service.pids()["sqs"]
    url = f"{bench.service.queue_url.rpartition('/')[0]}/{QUEUE}"
    with mock.patch.dict(os.environ, servers.DUMMY_AWS):
        await _queue(url, envelopes, spent, pid)
    return spent


async def _queue(url: str, envelopes: Sequence[Envelope], spent: Queueing, pid: int) -> None:
    async with queues.connect(url) as queue:
        await queue.ensure()
        with spending(spent.sending, pid):
            for sent in envelopes:
                await queue.send(sent.body, MESSAGE_GROUP, f"{sent.first}-{sent.last}")
        received = 0
        with spending(spent.receiving, pid):
            while received < len(envelopes):
                messages = await queue.receive(1)
                assert messages, f"{received} of {len(envelopes)} messages were received"
                await queue.delete(messages)
                received += len(messages)

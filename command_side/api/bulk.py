"""Many transactions in one request: read piece by piece, decided some hundred at a time.

    [{"transaction": {…}, "idempotencyKey": "…"}, …]        application/json
    one such object a line                                  application/x-ndjson

Memory is bounded: by the bound of a JSON body, or by one chunk of lines; and by the results.
"""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from command_side.api import movement_requests, problems
from command_side.api.answers import BatchResult, BatchResults
from command_side.api.bodies import SubmitBody
from command_side.api.values import check_key
from command_side.domain.commands import Atomic, Movement
from command_side.settings import CommandSettings
from command_side.writer.outcomes import Accepted, AllAccepted, Outcome, Refused
from command_side.writer.writer import Writer
from events.schema import Schema
from runtime.problems import Invalid, Problem, TooLarge
from web.answers import ENCODER, POSITION, Answer, Reply
from web.bodies import decode, read_body, read_lines, shaped
from web.media import NDJSON
from web.request import Request

TRANSACTIONS_MAX = 10_000
_ITEM = msgspec.json.Decoder(SubmitBody)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


class Results:
    """The answers for the items of a batch, and the last position of their events."""

    def __init__(self, *, lines: bool) -> None:
        self.position = 0
        self._lines = lines
        self._results: list[BatchResult] = []

    def add(self, item: Movement | Problem, outcome: Outcome) -> None:
        """Add the answer for the next item."""
        result = BatchResult(len(self._results))
        if not isinstance(item, Problem):
            result.idempotencyKey, result.messageId = item.key, item.transaction_id
        if isinstance(outcome, Accepted):
            result.position = outcome.recorded.position
            self.position = max(self.position, result.position)
            if outcome.replayed:
                result.replayed = True
        else:
            problem = problems.problem_of(outcome)
            assert problem is not None, "an item has a key"
            status: Any = problems.status(problem)
            result.status, result.code, result.detail = status, problem.code, problem.detail
            if isinstance(outcome, Refused) and outcome.recorded is not None:
                self.position = max(self.position, outcome.recorded.position)
        self._results.append(result)

    def answer(self, status: int) -> Reply | Answer:
        """Return all of them in the form of the request."""
        if self._lines:
            headers = {POSITION: str(self.position)}
            return Answer(ENCODER.encode_lines(self._results), status, headers, NDJSON)
        return Reply(BatchResults(self._results), status, self.position)


class Batch:
    """The items of a request, read when they are needed. Reading may raise Invalid."""

    def __init__(
        self,
        request: Request,
        ledger: str,
        schema: Schema,
        settings: CommandSettings,
        *,
        lines: bool,
    ) -> None:
        self.ledger = ledger
        self.schema = schema
        self.settings = settings
        self.lines = lines
        self._request = request

    async def together(self) -> Atomic:
        """Return all items as one command. An Invalid names the item by its `index`."""
        commands: list[Movement] = []
        async for raw in self._raws():
            try:
                commands.append(self._command(raw))
            except Invalid as problem:
                problem.extensions["index"] = len(commands)
                raise
        if not commands:
            raise Invalid("batch_empty", "The batch has no transaction.")
        return Atomic(ledger=self.ledger, commands=tuple(commands))

    async def chunks(self) -> AsyncIterator[list[Movement | Problem]]:
        """Yield some items at a time: each as a command, or as the reason why it is invalid."""
        chunk: list[Movement | Problem] = []
        async for raw in self._raws():
            try:
                chunk.append(self._command(raw))
            except Invalid as problem:
                chunk.append(problem)
            if len(chunk) == self.settings.batch_commands_max:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    async def items(self) -> list[Movement | Problem]:
        """Return each item as a command, or as the reason why it is invalid."""
        return [item async for chunk in self.chunks() for item in chunk]

    async def _raws(self) -> AsyncIterator[bytes]:
        count = 0
        if self.lines:
            async for line in read_lines(self._request, self.settings.body_bytes_max):
                count += 1
                _check_count(count)
                yield line
            return
        body = await read_body(self._request, self.settings.batch_body_bytes_max)
        array = shaped(body, _ARRAY)  # Each item is checked for repeated members by itself.
        _check_count(len(array))
        for raw in array:
            yield bytes(raw)

    def _command(self, raw: bytes) -> Movement:
        if len(raw) > self.settings.body_bytes_max:
            detail = f"A transaction may have at most {self.settings.body_bytes_max} bytes."
            raise TooLarge("body_too_large", detail)
        body = decode(raw, _ITEM)
        key = check_key(body.idempotencyKey, None)
        return movement_requests.movement(self.ledger, key, body.transaction, self.schema)


async def submit_together(batch: Batch, writer: Writer) -> Results:
    """Submit all items as one command. Raises the first refusal, with its `index`."""
    command = await batch.together()
    outcome = await writer.submit(command)
    if not isinstance(outcome, AllAccepted):
        raise problems.failure(outcome)
    results = Results(lines=batch.lines)
    for item, part in zip(command.commands, outcome.parts, strict=True):
        results.add(item, part)
    return results


async def submit_each(batch: Batch, writer: Writer) -> Results:
    """Submit the items, some hundred at a time."""
    results = Results(lines=batch.lines)
    async for chunk in batch.chunks():
        commands = [item for item in chunk if not isinstance(item, Problem)]
        outcomes = iter(await writer.submit_each(commands))
        for item in chunk:
            results.add(item, item if isinstance(item, Problem) else next(outcomes))
    return results


def _check_count(count: int) -> None:
    if count > TRANSACTIONS_MAX:
        detail = f"A batch has at most {TRANSACTIONS_MAX} transactions."
        raise TooLarge("batch_too_large", detail)

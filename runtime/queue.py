"""SQS FIFO: a queue that may lose, repeat or reorder. The only module that imports aiobotocore."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError

from runtime.problems import Unavailable

RECEIVE_MESSAGES_MAX = 10
LONG_POLL_S = 20
VISIBILITY_TIMEOUT_S = 30
RETENTION_S = 1_209_600
CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = LONG_POLL_S + 5
ATTRIBUTES_TIMEOUT_S = 5
QUEUE_GONE = "queue_gone"
DEFAULT_REGION = "us-east-1"


class Message(msgspec.Struct, frozen=True):
    """A received message; `receipt` deletes it."""

    body: str
    receipt: str


class Queue:
    """One FIFO queue, by its URL."""

    def __init__(self, client: Any, url: str) -> None:  # noqa: ANN401 - botocore clients have no type
        self._client = client
        self.url = url

    async def ensure(self) -> None:
        """Create the queue if it is missing; it may have been deleted at any time."""
        await self._call(
            self._client.create_queue,
            QueueName=urlsplit(self.url).path.rpartition("/")[2],
            Attributes={
                "FifoQueue": "true",
                "ContentBasedDeduplication": "false",
                "VisibilityTimeout": str(VISIBILITY_TIMEOUT_S),
                "MessageRetentionPeriod": str(RETENTION_S),
            },
        )

    async def send(self, body: str, group: str, deduplication_id: str) -> None:
        """Send one message; create the queue if it is missing. Raises Unavailable."""
        message = {
            "QueueUrl": self.url,
            "MessageBody": body,
            "MessageGroupId": group,
            "MessageDeduplicationId": deduplication_id,
        }
        try:
            await self._call(self._client.send_message, **message)
        except Unavailable as problem:
            if problem.code != QUEUE_GONE:
                raise
            await self.ensure()
            await self._call(self._client.send_message, **message)

    async def receive(self, wait_s: int = LONG_POLL_S) -> list[Message]:
        """Return up to ten messages, waiting up to `wait_s` (0 to 20). Raises Unavailable.

        A missing queue is created, and has no messages yet.
        """
        try:
            answer = await self._call(
                self._client.receive_message,
                QueueUrl=self.url,
                MaxNumberOfMessages=RECEIVE_MESSAGES_MAX,
                WaitTimeSeconds=wait_s,
            )
        except Unavailable as problem:
            if problem.code != QUEUE_GONE:
                raise
            await self.ensure()
            return []
        return [
            Message(message["Body"], message["ReceiptHandle"])
            for message in answer.get("Messages", ())
        ]

    async def delete(self, messages: Sequence[Message]) -> None:
        """Delete up to ten received messages; those already deleted are ignored."""
        if messages:
            entries = [
                {"Id": str(index), "ReceiptHandle": message.receipt}
                for index, message in enumerate(messages)
            ]
            await self._call(self._client.delete_message_batch, QueueUrl=self.url, Entries=entries)

    async def purge(self) -> None:
        """Delete all messages, also received ones. Raises Unavailable."""
        await self._call(self._client.purge_queue, QueueUrl=self.url)

    async def attributes(self) -> dict[str, str]:
        """Return the queue's attributes, as SQS names them. Raises Unavailable."""
        call = self._call(
            self._client.get_queue_attributes, QueueUrl=self.url, AttributeNames=["All"]
        )
        try:
            answer = await asyncio.wait_for(call, ATTRIBUTES_TIMEOUT_S)
        except TimeoutError as error:
            raise _away(error) from error
        return dict(answer["Attributes"])

    async def _call(self, method: Any, **arguments: Any) -> Any:  # noqa: ANN401
        try:
            return await method(**arguments)
        except ClientError as error:
            if "NonExistentQueue" in error.response["Error"].get("Code", ""):
                raise Unavailable(QUEUE_GONE, "The queue does not exist.") from error
            raise _away(error) from error
        except (BotoCoreError, OSError, TimeoutError) as error:
            raise _away(error) from error


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Queue]:
    """Open the queue at `url`. The service's address and region are taken from the URL itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    amazon = host.startswith("sqs.") and host.endswith(".amazonaws.com")
    session = _session()
    region = host.split(".")[1] if amazon else session.get_config_variable("region")
    config = AioConfig(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"max_attempts": 2, "mode": "standard"},
    )
    client = session.create_client(
        "sqs",
        region_name=region or DEFAULT_REGION,
        endpoint_url=f"{parts.scheme}://{parts.netloc}",
        config=config,
    )
    async with client as opened:
        yield Queue(opened, url)


@cache
def _session() -> AioSession:
    """Return the process's one session; each new one reads AWS's description of SQS for 50 ms."""
    return get_session()


def _away(error: Exception) -> Unavailable:
    return Unavailable("queue_unavailable", f"The queue does not answer ({type(error).__name__}).")

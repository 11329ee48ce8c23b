"""S3: a bucket to which objects are only added. Only this module and `runtime/queue.py` use AWS.

The address is the service's own for the region, or the value of `AWS_ENDPOINT_URL_S3`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from runtime.problems import Unavailable

TIMEOUT_S = 10
DEFAULT_REGION = "us-east-1"
# The object exists (412), or another client is putting it now (409).
TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}
AT_ONCE = 32


class Bucket:
    """The objects of one bucket whose keys begin with `prefix`."""

    def __init__(self, client: Any, name: str, prefix: str) -> None:  # noqa: ANN401 - untyped
        self._client = client
        self._name = name
        self._prefix = prefix

    async def put_new(self, key: str, body: bytes) -> bool:
        """Put an object; return False if the key is taken. Raises Unavailable."""
        try:
            await self._client.put_object(
                Bucket=self._name, Key=self._prefix + key, Body=body, IfNoneMatch="*"
            )
        except ClientError as error:
            if error.response["Error"].get("Code") in TAKEN:
                return False
            raise _away(error) from error
        except (BotoCoreError, OSError, TimeoutError) as error:
            raise _away(error) from error
        return True

    async def get(self, key: str) -> bytes:
        """Return an object. Raises Unavailable."""
        try:
            answer = await self._client.get_object(Bucket=self._name, Key=self._prefix + key)
            async with answer["Body"] as stream:
                body: bytes = await stream.read()
        except (ClientError, BotoCoreError, OSError, TimeoutError) as error:
            raise _away(error) from error
        return body

    async def after(self, key: str) -> str | None:
        """Return the first key after `key`, or None. Raises Unavailable."""
        try:
            page = await self._client.list_objects_v2(
                Bucket=self._name,
                Prefix=self._prefix,
                StartAfter=self._prefix + key,
                MaxKeys=1,
            )
        except (ClientError, BotoCoreError, OSError, TimeoutError) as error:
            raise _away(error) from error
        return next(
            (item["Key"].removeprefix(self._prefix) for item in page.get("Contents", ())), None
        )

    async def all(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield every object in the order of the keys, several at once. Raises Unavailable."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._name, Prefix=self._prefix
        )
        try:
            async for page in pages:
                keys = [item["Key"].removeprefix(self._prefix) for item in page.get("Contents", ())]
                for first in range(0, len(keys), AT_ONCE):
                    some = keys[first : first + AT_ONCE]
                    bodies = await asyncio.gather(*(self.get(key) for key in some))
                    for found in zip(some, bodies, strict=True):
                        yield found
        except (ClientError, BotoCoreError, OSError, TimeoutError) as error:
            raise _away(error) from error


@asynccontextmanager
async def connect(name: str, prefix: str) -> AsyncIterator[Bucket]:
    """Open the objects of the bucket `name` whose keys begin with `prefix`."""
    session = get_session()
    config = AioConfig(
        connect_timeout=TIMEOUT_S,
        read_timeout=TIMEOUT_S,
        retries={"max_attempts": 2, "mode": "standard"},
        s3={"addressing_style": "path"},
    )
    region = session.get_config_variable("region") or DEFAULT_REGION
    async with session.create_client("s3", region_name=region, config=config) as opened:
        yield Bucket(opened, name, prefix)


def _away(error: Exception) -> Unavailable:
    return Unavailable("bucket_unavailable", f"The bucket does not answer ({error}).")

"""Where checkpoints go so that nobody who owns this machine can take them back.

A place is only ever added to: a checkpoint's name is its log's size, and what is there under a
name stays. A folder should be on another machine; a bucket should have Object Lock.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from runtime.problems import Unavailable

SUFFIX = ".checkpoint"
# Names sort as their sizes do, up to the last position that there can be.
SIZE_DIGITS = 19


class CheckpointStore(Protocol):
    """A folder or a bucket."""

    async def put_new(self, key: str, body: bytes) -> bool:
        """Put `body` where nothing is; return False if there is something."""

    async def get(self, key: str) -> bytes:
        """Return what is there."""

    async def after(self, key: str) -> str | None:
        """Return the first name behind `key`, if there is one."""

    def all(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield everything in the order of the names."""


class Folder:
    """A folder of files."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def put_new(self, key: str, body: bytes) -> bool:
        """Write a file that is whole, or not there; return False if there is one."""
        return await asyncio.to_thread(self._put_new, key, body)

    async def get(self, key: str) -> bytes:
        """Return a file's bytes."""
        return await asyncio.to_thread(self._read, key)

    async def after(self, key: str) -> str | None:
        """Return the first name behind `key`, if there is one."""
        return min((name for name in self._names() if name > key), default=None)

    async def all(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the checkpoints in the order of their sizes."""
        for name in sorted(self._names()):
            yield name, self._read(name)

    def _names(self) -> list[str]:
        return [path.name for path in self._path.glob(f"*{SUFFIX}")]

    def _put_new(self, key: str, body: bytes) -> bool:
        unfinished = self._path.joinpath(f".{key}.{os.getpid()}")
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            # Unlike a rename, a link never takes the place of something.
            os.link(unfinished, self._path.joinpath(key))
        except FileExistsError:
            return False
        except OSError as error:
            raise _away(error) from error
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
        return True

    def _read(self, key: str) -> bytes:
        try:
            return (self._path.joinpath(key)).read_bytes()
        except OSError as error:
            raise _away(error) from error


@asynccontextmanager
async def opened(where: str) -> AsyncIterator[CheckpointStore]:
    """Open `s3://BUCKET/PREFIX`, or a folder."""
    parts = urlsplit(where)
    if parts.scheme != "s3":
        yield Folder(Path(where))
        return
    prefix = parts.path.strip("/")
    from runtime import bucket as buckets  # noqa: PLC0415 - slow to import, and a folder needs none

    async with buckets.connect(parts.netloc, f"{prefix}/" if prefix else "") as bucket:
        yield bucket


@asynccontextmanager
async def opened_if(where: str | None) -> AsyncIterator[CheckpointStore | None]:
    """Open a place, if one is named."""
    if where is None:
        yield None
        return
    async with opened(where) as place:
        yield place


def name_of(size: int) -> str:
    """Return the name of the checkpoint of a log of `size`."""
    return f"{size:0{SIZE_DIGITS}}{SUFFIX}"


def size_of(name: str) -> int:
    """Return the size in a checkpoint's name; 0 if it is not such a name."""
    digits = name.removesuffix(SUFFIX)
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def _away(error: OSError) -> Unavailable:
    detail = f"The folder of checkpoints cannot be used ({error.strerror or error})."
    return Unavailable("folder_unavailable", detail)

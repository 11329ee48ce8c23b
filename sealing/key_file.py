"""The file of the keys that sign checkpoints: make one, and read it."""

import os
from pathlib import Path
from secrets import token_bytes, token_hex

from sealing import signed_notes
from sealing.signed_notes import NoteError, Signer, Verifier

MODE = 0o600
NAME_BYTES = 4


def make(file: Path, name: str | None) -> Verifier:
    """Make a key in `file` unless the file exists; return the public half of its first key.

    Raises NoteError if the file cannot be made or read.
    """
    made = Signer(
        signed_notes.check_name(name or f"daybook/{token_hex(NAME_BYTES)}"), token_bytes(32)
    )
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    except FileExistsError:
        return signers(str(file))[0].verifier
    except OSError as error:
        raise NoteError(f"the key file {file} cannot be made ({error.strerror})") from error
    with os.fdopen(handle, "w", encoding="utf-8") as opened:
        opened.write(f"{made}\n")
    return made.verifier


def signers(path: str) -> list[Signer]:
    """Return the keys in a file, one a line; the sealer signs every checkpoint with all of them.

    Raises NoteError.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise NoteError(f"the key file {path} cannot be read ({error.strerror})") from error
    read = [signed_notes.signer(line.strip()) for line in text.splitlines() if line.strip()]
    if not read or len({each.name for each in read}) > 1:
        raise NoteError(f"{path} must hold one or more keys, all of one name")
    return read

"""Signed notes and checkpoints, as C2SP specifies them: `signed-note`, `tlog-checkpoint`. Pure.

    daybook/7f3c91d0                                 the origin: which log
    4711                                             how many leaves
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=     the root above them

    — daybook/7f3c91d0 Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeO…      a line for each key

Keys are written as Go's `sumdb/note` writes them: `NAME+ID+DATA` to verify with, and
`PRIVATE+KEY+NAME+ID+DATA` to sign with. A key's name is the origin of its log.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"
KEY_BYTES = 32
KEY_ID_BYTES = 4
SECRET = "PRIVATE+KEY+"  # noqa: S105 - how such a key begins
DASH = "— "
NOTE_CHARACTERS_MAX = 100_000
LINES_MIN = 3


class NoteError(ValueError):
    """A key, note or checkpoint that cannot be read, or that nobody trusted has signed."""


class Verifier(msgspec.Struct, frozen=True):
    """A public key and whose it is."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        return _key_id(self.name, self.public)

    def __str__(self) -> str:
        """Return the key as it is given to others."""
        return f"{self.name}+{self.key_id.hex()}+{_encoded(ED25519 + self.public)}"


class Signer(msgspec.Struct, frozen=True):
    """A secret key and whose it is."""

    name: str
    seed: bytes

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        return Verifier(self.name, key.public_key().public_bytes_raw())

    def __str__(self) -> str:
        """Return the key as it is stored. A reader of it can sign."""
        return f"{SECRET}{self.name}+{self.verifier.key_id.hex()}+{_encoded(ED25519 + self.seed)}"


class SignedCheckpoint(msgspec.Struct, frozen=True):
    """What a log says of itself: its origin, its size, and the root of its tree."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{_encoded(self.root)}\n"


def check_name(name: str) -> str:
    """Return `name` if a key may have it. Raises NoteError."""
    if not name or "+" in name or any(character.isspace() for character in name):
        raise NoteError(f"a key's name has no space and no `+`, and {name!r} is none")
    return name


def verifier(text: str) -> Verifier:
    """Read `NAME+ID+DATA`. Raises NoteError."""
    name, key_id, public = _key(text.strip())
    read = Verifier(name, public)
    if read.key_id.hex() != key_id:
        raise NoteError(f"the key of {name!r} is damaged: its id does not belong to it")
    return read


def signer(text: str) -> Signer:
    """Read `PRIVATE+KEY+NAME+ID+DATA`. Raises NoteError, which does not show the key."""
    if not text.startswith(SECRET):
        raise NoteError(f"a key to sign with begins with `{SECRET}`")
    name, key_id, seed = _key(text.removeprefix(SECRET).strip())
    read = Signer(name, seed)
    if read.verifier.key_id.hex() != key_id:
        raise NoteError(f"the key of {name!r} is damaged: its id does not belong to it")
    return read


def sign(text: str, signers: Iterable[Signer]) -> str:
    """Return `text`, which ends with a newline, as a note that each of `signers` has signed."""
    assert text.endswith("\n"), "a note's text ends with a newline"
    lines = [
        f"{DASH}{each.name} {_encoded(each.verifier.key_id + _signature(each, text))}\n"
        for each in signers
    ]
    return "\n".join([text, "".join(lines)])


def opened(note: str, verifiers: Sequence[Verifier]) -> str:
    """Return the text of a note that one of `verifiers` has signed.

    Signatures of other keys are passed over; a wrong one of a known key is not. Raises NoteError.
    """
    text, lines = _parts(note)
    known = {(each.name, each.key_id): each for each in verifiers}
    trusted = False
    for line in lines:
        name, _, encoded = line.removeprefix(DASH).partition(" ")
        signature = _decoded(encoded)
        by = known.get((name, signature[:KEY_ID_BYTES]))
        if by is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(by.public).verify(
                signature[KEY_ID_BYTES:], text.encode()
            )
        except InvalidSignature as error:
            raise NoteError(f"the signature of {name!r} is not of this text") from error
        trusted = True
    if not trusted:
        names = ", ".join(line.removeprefix(DASH).partition(" ")[0] for line in lines)
        raise NoteError(f"no known key has signed it; it is signed by {names}")
    return text


def unverified(note: str) -> str:
    """Return the text of a note without checking its signatures. Raises NoteError."""
    return _parts(note)[0]


def checkpoint(text: str) -> SignedCheckpoint:
    """Read a checkpoint's text; lines after the first three are others' extensions.

    Raises NoteError.
    """
    lines = text.split("\n")
    if len(lines) <= LINES_MIN or lines[-1] or not lines[0]:
        raise NoteError("a checkpoint has at least three lines: origin, size, root")
    origin, size, encoded = lines[:LINES_MIN]
    root = _decoded(encoded)
    if not (size.isascii() and size.isdigit() and str(int(size[:20])) == size):
        raise NoteError(f"{size!r} is no size of a tree")
    if len(root) != hashlib.sha256().digest_size:
        raise NoteError("a root has 32 bytes")
    return SignedCheckpoint(origin, int(size), root)


def _parts(note: str) -> tuple[str, list[str]]:
    text, separator, signatures = note.rpartition("\n\n")
    lines = signatures.removesuffix("\n").split("\n")
    whole = separator and signatures.endswith("\n") and len(note) <= NOTE_CHARACTERS_MAX
    if not whole or not all(line.startswith(DASH) for line in lines):
        raise NoteError("this is no signed note: it ends with lines of signatures")
    return text + "\n", lines


def _signature(by: Signer, text: str) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(by.seed).sign(text.encode())


def _key(text: str) -> tuple[str, str, bytes]:
    # Base64 may hold a `+` of its own.
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    data = _decoded(encoded)
    check_name(name)
    if data[:1] != ED25519 or len(data) != 1 + KEY_BYTES:
        raise NoteError(f"the key of {name!r} is not of the kind Ed25519")
    return name, key_id, data[1:]


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(f"{name}\n".encode() + ED25519 + public).digest()[:KEY_ID_BYTES]


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError(f"{text[:60]!r} is not base64") from error

"""Signed notes and checkpoints, by the examples that their specifications give."""

import base64

import pytest

from sealing import signed_notes
from sealing.signed_notes import NoteError, SignedCheckpoint, Signer

# Of Go's golang.org/x/mod/sumdb/note, whose format C2SP's signed-note is.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NOTE = (
    f"{TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
MINE, OTHER = Signer("daybook/one", bytes(32)), Signer("daybook/one", bytes(31) + b"\x01")
SIGNED = signed_notes.sign(SignedCheckpoint("daybook/one", 7, bytes(32)).text, [MINE])


def test_the_published_note_is_made_and_opened() -> None:
    """Byte for byte."""
    signer = signed_notes.signer(PETER_SECRET)
    assert signed_notes.sign(TEXT, [signer]) == NOTE
    assert signed_notes.opened(NOTE, [signed_notes.verifier(PETER)]) == TEXT
    assert (str(signer), str(signer.verifier)) == (PETER_SECRET, PETER)


def test_the_published_checkpoint_is_read() -> None:
    """Of C2SP's tlog-checkpoint; lines below the root are others' extensions."""
    root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
    text = f"example.com/behind-the-sofa\n20852163\n{root}\n"
    read = signed_notes.checkpoint(text)
    assert (read.origin, read.size) == ("example.com/behind-the-sofa", 20852163)
    assert base64.b64encode(read.root).decode() == root
    assert read.text == text
    assert signed_notes.checkpoint(f"{text}extension\n") == read


def test_any_trusted_key_is_enough() -> None:
    """Others' signatures are passed over, of the same name, too."""
    both = signed_notes.sign(TEXT, [OTHER, MINE])
    for key in (MINE, OTHER):
        assert signed_notes.opened(both, [key.verifier]) == TEXT
    with pytest.raises(NoteError, match="no known key has signed it; it is signed by daybook/one"):
        signed_notes.opened(SIGNED, [OTHER.verifier, signed_notes.verifier(PETER)])


@pytest.mark.parametrize(
    "note",
    [
        SIGNED.replace("\n7\n", "\n8\n"),
        SIGNED.replace("daybook/one\n7", "daybook/two\n7"),
        SIGNED.replace("— daybook/one", "— daybook/two"),
        SIGNED[:-1],
        SIGNED.replace("— ", "- "),
        SIGNED.replace("\n\n", "\n"),
        SIGNED[:-4] + "!!!\n",
        "",
        TEXT,
    ],
)
def test_what_was_changed_is_not_opened(note: str) -> None:
    """Text, name or signature."""
    with pytest.raises(NoteError):
        signed_notes.opened(note, [MINE.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n1\n",
        f"origin\n1\n{'A' * 43}=",
        f"\n1\n{'A' * 43}=\n",
        f"origin\n01\n{'A' * 43}=\n",
        f"origin\n-1\n{'A' * 43}=\n",
        f"origin\n٣\n{'A' * 43}=\n",
        f"origin\n1{'0' * 30}\n{'A' * 43}=\n",
        "origin\n1\nAAAA\n",
        "origin\n1\n?\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Three lines, a size in one form, a root of 32 bytes."""
    with pytest.raises(NoteError):
        signed_notes.checkpoint(text)


@pytest.mark.parametrize(
    "key",
    [
        *("", "PeterNeumann", PETER.replace("c74f20a3", "c74f20a4"), PETER.replace("Peter", "P ")),
        *(PETER[:-4], PETER.replace("+ARpc", "+ABpc"), PETER + "?"),
    ],
)
def test_a_damaged_key_is_refused(key: str) -> None:
    """Its id is made of its name and its bytes."""
    with pytest.raises(NoteError):
        signed_notes.verifier(key)


def test_a_key_that_cannot_be_read_is_not_shown() -> None:
    """The message may end up in a log."""
    for text in (PETER_SECRET[:-4], PETER_SECRET.replace("c74f", "c74e"), PETER):
        with pytest.raises(NoteError) as caught:
            signed_notes.signer(text)
        assert "AYEKFALVFGyN" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b"])
def test_a_name_of_a_key_is_one_word(name: str) -> None:
    """It stands between spaces and pluses."""
    with pytest.raises(NoteError):
        signed_notes.check_name(name)

"""Fold of transactions: what a row keeps of an event."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from events.types import Kind, Posting, Recorded, TransferPosted
from projections.folds import transactions

ORIGINAL = UUID(int=1)


@pytest.mark.parametrize(
    "postings, kept",
    [
        ((Posting("a", "b", 5, "USD"),), None),
        ((Posting("a", "b", 5, "USD", 2),), [2]),
        ((Posting("a", "b", 5, "USD"), Posting("a", "c", 6, "USD")), [0, 0]),
        ((Posting("a", "b", 5, "USD", 3), Posting("a", "c", 6, "USD", 1)), [3, 1]),
    ],
)
def test_the_line_that_a_refund_refers_to_is_kept(
    postings: tuple[Posting, ...], kept: list[int] | None
) -> None:
    """Also for a single posting, whose other fields are in the summary columns."""
    event = TransferPosted(
        ledger="demo",
        key="k",
        fingerprint="f",
        postings=postings,
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        kind=Kind.REFUND,
        about=ORIGINAL,
    )
    row = transactions.fold(Recorded(1, UUID(int=2), 1, event))
    assert row is not None
    lines = None
    if row.postings is not None:
        decoded = msgspec.json.decode(row.postings, type=tuple[Posting, ...], strict=False)
        assert decoded == postings
        lines = [posting.line for posting in decoded]
    assert lines == kept

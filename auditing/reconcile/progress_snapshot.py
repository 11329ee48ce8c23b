"""Where a reconciliation stands, as bytes: whoever goes on with it needs nothing else. Pure.

What was found is not part of it: discrepancies are rows of their own, kept in the same transaction.
"""

import zlib
from uuid import UUID

import msgspec

from auditing.expected_rows import Closing, Moment, Standing, Tally
from auditing.reconcile.compare import Run
from auditing.replay import Books

LEVEL = 1  # Three quarters of the best compression, in a tenth of its time.


class Place(msgspec.Struct):
    """A run, but for its scope and what it found; as JSON, which bounds no integer's size."""

    position: int
    settled: int
    open_times: list[Moment]
    events_read: int
    compared: dict[str, int]
    kinds: dict[str, int]
    accounts: list[tuple[str, str, Tally]]
    standings: dict[UUID, Standing]
    closings: dict[str, Closing]
    known: list[tuple[str, ...]]
    patrol: "Place | None" = None


_PLACE = msgspec.json.Decoder(Place)


def packed(run: Run) -> bytes:
    """Return where `run` stands."""
    return zlib.compress(msgspec.json.encode(_place(run)), LEVEL)


def unpacked(run: Run, place: bytes) -> None:
    """Let `run` stand where it stood."""
    _stand(run, _PLACE.decode(zlib.decompress(place)))


def _place(run: Run) -> Place:
    books = run.books
    return Place(
        run.position,
        run.settled,
        run.open_times,
        run.events_read,
        run.compared,
        run.findings.kinds,
        [(*key, tally) for key, tally in books.accounts.items()],
        books.standings,
        books.closings,
        sorted(run.known),
        None if run.patrol is None else _place(run.patrol),
    )


def _stand(run: Run, found: Place) -> None:
    run.position, run.settled, run.open_times = found.position, found.settled, found.open_times
    run.events_read, run.compared = found.events_read, found.compared
    run.findings.kinds, run.known = found.kinds, set(found.known)
    books = run.books
    books.accounts = {(ledger, account): tally for ledger, account, tally in found.accounts}
    books.standings, books.closings = found.standings, found.closings
    if found.patrol is not None:
        run.patrol = Run(run.scope, Books())
        _stand(run.patrol, found.patrol)

"""A period as people write it: dates (the last day included) or times."""

from datetime import UTC, date, datetime, time, timedelta

from runtime.problems import Invalid

DATE_CHARACTERS = len("2026-01-31")
# The resolution of times in Python and in PostgreSQL.
TICK = timedelta(microseconds=1)


def moment(text: str | None, field: str, *, whole_day: bool) -> datetime | None:
    """Return the moment that `text` means, in UTC unless it says otherwise. Raises Invalid.

    A date is its first moment, or with `whole_day` the first moment after it.
    """
    if text is None:
        return None
    try:
        if len(text) == DATE_CHARACTERS:
            day = date.fromisoformat(text) + timedelta(days=1 if whole_day else 0)
            return datetime.combine(day, time(), UTC)
        given = datetime.fromisoformat(text)
        # In UTC, so that a moment beyond the calendar is found here and not by the database.
        return (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        detail = f"`{field}` must be a date such as 2026-01-31 or a time such as 2026-01-31T12:00Z."
        raise Invalid("period_invalid", detail, field=field) from error


def first_moment_after(text: str, field: str) -> datetime:
    """Return the first moment after the time, or after the day, that `text` means.

    Raises Invalid.
    """
    found = moment(text, field, whole_day=True)
    assert found is not None
    if len(text) == DATE_CHARACTERS:
        return found
    try:
        return found + TICK
    except OverflowError as error:
        detail = f"`{field}` is the end of time; name an earlier one."
        raise Invalid("period_invalid", detail, field=field) from error

"""Free text in CSV that people open in a spreadsheet. Pure.

A spreadsheet takes a cell that begins like a formula for one, and runs it. Such a cell gets an
apostrophe in front, and so does a cell that begins with an apostrophe. So it can be taken back: a
program that reads the file removes one leading apostrophe.
"""

# What begins a formula in one spreadsheet or another, and what is dropped before one is looked for.
_BEGINNINGS = (
    *("=", "+", "-", "@", "\t", "\r", "\n", "'"),
    *("＝", "＋", "－", "−", "＠"),  # noqa: RUF001 - full-width forms, and the minus sign
)


def guarded(text: str | None) -> str:
    """Return free text as a cell that no spreadsheet takes for a formula; None is empty."""
    if text is None:
        return ""
    return f"'{text}" if text.startswith(_BEGINNINGS) else text


def plain(cell: str) -> str:
    """Return the text of such a cell."""
    return cell.removeprefix("'")

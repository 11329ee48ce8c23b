"""Compare the examples in the documents with the answers of the running program."""

import re

# A string of JSON, or space between the tokens.
_STRING_OR_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')
_VARYING = (
    (re.compile(r',"requestId":"[^"]+"'), ""),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)"), "TIME"),
    (re.compile(r'("(?:\w+_)?position":)\d+'), r"\1N"),
    (re.compile(r"(position )\d+"), r"\1N"),
    (re.compile(r'("(?:next|previous)":)"[^"]+"'), r'\1"CURSOR"'),
    (re.compile(r'("(?:reconciliationId|statement_id|queueUrl|memoryUsage)":)"[^"]+"'), r'\1"ID"'),
    # How far a reconciliation is when it is asked about, and what it has counted by then.
    (re.compile(r'"status":"(?:QUEUED|RUNNING|CLEAN)"(?=,"account_id":[^}]*"progress")'), "STATUS"),
    (re.compile(r'"progress":\{[^}]*\}(?:,"\w+":(?:\d+|null)){3}'), "PROGRESS"),
    (re.compile(r'("(?:startedAt|finishedAt)":)(?:null|"TIME")'), r"\1T"),
    (re.compile(r'("(?:messageCount|inFlightCount|totalKeys)":)\d+'), r"\1N"),
    # What was signed, and proofs of it.
    (re.compile(r'("(?:checkpoint|root|salt)":)"[^"]+"'), r'\1"HASH"'),
    (re.compile(r'"proof":\[[^\]]*\]'), '"proof":[HASHES]'),
    (re.compile(r'("leaf_index":)\d+'), r"\1N"),
    (re.compile(r"A log of \d+ events"), "A log of N events"),
    (re.compile(r"^daybook/[0-9a-f]{8}.*$", re.DOTALL), "CHECKPOINT"),
    # An event's position, in pages and in streams.
    (re.compile(r'("specversion":"1.0","id":)"\d+"'), r'\1"N"'),
    (re.compile(r"(?<![a-z_])id:\d+\.\d+"), "id:N"),
    # Positions in a CSV file; positions and statement ids in camt.053.
    (re.compile(r"(entry,[^,]+,[A-Z]+,)\d+"), r"\1N"),
    (re.compile(r"(<NtryRef>)\d+"), r"\1N"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "ID"),
)


def settled(text: str) -> str:
    """Return JSON without space, and without times, positions, cursors and random ids."""
    text = _STRING_OR_SPACE.sub(lambda found: found[1] or "", text.strip())
    for varying, stands_for in _VARYING:
        text = varying.sub(stands_for, text)
    return text


def matches(shown: str, answered: str) -> bool:
    """Tell whether an answer is as shown, where `…` stands for anything."""
    parts = [re.escape(part) for part in settled(shown).split("…")]
    return re.fullmatch(".*?".join(parts), settled(answered), re.DOTALL) is not None

"""Schemathesis makes requests up from the OpenAPI document, and holds every answer against it.

No answer may contradict the document: no status, media type, header or shape that it does not name,
no 5xx but a documented 503, and no request refused that the document allows. It is no part of
`make test`, but of `make made-up`, which CI runs: it takes as long as it is given.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from daybook.embedded.up import PROGRAMS, Service, embedded
from tests.acceptance.driver import API, ROOT, SCOPES, opened_ledger

CONFIG = Path(__file__).with_name("schemathesis.toml")
# Two of the three minutes that CI has for it; the rest is for starting, and for the last requests.
RUN_S = int(os.environ.get("DAYBOOK_MADE_UP_S", "120"))
END_S = RUN_S + 50
# The same requests in every run, so that a failure is of the change and not of chance. Another seed
# makes others up: DAYBOOK_MADE_UP_SEED=$RANDOM make made-up
SEED = os.environ.get("DAYBOOK_MADE_UP_SEED", "1494")


@pytest.fixture
async def impatient(no_real_aws: None) -> AsyncIterator[Service]:
    """Run everything, with waits that are short: a made-up position is never reached."""
    programs = [
        msgspec.structs.replace(program, env=program.env | {"DAYBOOK_WAIT_S_MAX": "0.05"})
        for program in PROGRAMS
    ]
    async with embedded(Path(), 0, ephemeral=True, fsync=False, programs=programs) as running:
        yield running


@pytest.mark.made_up
@pytest.mark.timeout(END_S + 60)
async def test_no_answer_contradicts_the_document(impatient: Service, tmp_path: Path) -> None:
    """In four ways: examples of the document, limits of its schemas, chance, and chains."""
    async with opened_ledger(impatient, (*SCOPES, "admin")) as ledger:
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("st")), "--no-color"),
            *("--config-file", str(CONFIG), "run", f"{impatient.url}{API}/openapi.json"),
            *("--header", f"Authorization: {ledger.http.headers['authorization']}"),
            *("--phases", "examples,coverage,fuzzing,stateful", "--max-time", str(RUN_S)),
            *("--warnings", "off", "--request-timeout", "10", "--seed", SEED),
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(END_S):
                said = (await process.stdout.read()).decode()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
    assert process.returncode == 0, said[-20_000:]

"""Clients that are generated from the OpenAPI document: without a warning, and they work."""

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from daybook.api.operations import document
from tests.acceptance.driver import API, ROOT, Ledger, new_key
from web.answers import ENCODER

CONFIG = ROOT / "docs/clients/openapi-python-client.yml"
PACKAGE = "daybook_client"
# What CI installs; elsewhere that test says that it is skipped.
TYPESCRIPT = ROOT / ".node/node_modules/.bin"


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the document to a file."""
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_bytes(ENCODER.encode(document()))
    return path


@pytest.fixture(scope="module")
def generated(description: Path) -> Iterator[str]:
    """Generate the Python client, and make it importable."""
    folder = description.parent
    made = subprocess.run(
        [
            str(Path(sys.executable).with_name("openapi-python-client")),
            *("generate", "--path", str(description), "--output-path", str(folder / "client")),
            *("--config", str(CONFIG), "--fail-on-warning"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    said = made.stdout + made.stderr
    assert made.returncode == 0, said
    assert "warning" not in said.lower(), said
    sys.path.insert(0, str(folder / "client"))
    yield PACKAGE
    sys.path.remove(str(folder / "client"))
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


class Client:
    """The generated client, for one ledger."""

    def __init__(self, package: str, ledger: Ledger) -> None:
        self.models = importlib.import_module(f"{package}.models")
        self._package = package
        made: ModuleType = importlib.import_module(f"{package}.client")
        token = ledger.http.headers["authorization"].partition(" ")[2]
        base = str(ledger.http.base_url).rstrip("/") + API
        self._client = made.AuthenticatedClient(base_url=base, token=token)

    async def ask(self, operation: str, /, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        """Return the typed answer of `tag.operation`."""
        module = importlib.import_module(f"{self._package}.api.{operation}")
        return await module.asyncio(*arguments, client=self._client, **named)


async def test_the_python_client_works(generated: str, ledger: Ledger) -> None:
    """A transfer, a refusal, a list over two pages, and a statement: all of them typed."""
    client = Client(generated, ledger)
    models = client.models

    async def submit(amount: str, source: str = "external:usd") -> Any:  # noqa: ANN401
        transaction = models.TransactionBody(
            source_account_id=source, destination_account_id="wallet", amount=amount
        )
        return await client.ask(
            "submitting.submit",
            body=models.SubmitBody(transaction=transaction),
            idempotency_key=new_key(),
            prefer="wait=20",
        )

    done = [await submit(amount) for amount in ("100.00", "0.50", "7")]
    assert {type(each) for each in done} == {models.Polled}
    assert [each.result.amount_minor for each in done] == ["10000", "50", "700"]
    assert done[0].status == "COMPLETED"

    refused = await submit("1.00", "nobody")
    assert type(refused).__name__ == "SubmitResponse422"
    assert (refused.status, str(refused.code)) == (422, "insufficient_funds")

    first = await client.ask("reading_transactions.transactions", limit=2)
    second = await client.ask("reading_transactions.transactions", limit=2, cursor=first.next_)
    assert type(first) is models.Transactions
    keys = [each.id for page in (first, second) for each in page.items]
    assert len(first.items) == 2
    assert len(keys) == len(set(keys))
    assert {each.result.id for each in done} <= set(keys)
    assert second.next_ is None

    statement = await client.ask(
        "reading_accounts.statement", "wallet", from_="2020-01-01", to="2100-01-01"
    )
    assert type(statement) is models.Statement
    assert [each.amount_minor for each in statement.entries] == ["10000", "50", "700"]


@pytest.mark.skipif(
    not (TYPESCRIPT / "openapi-typescript").exists() or shutil.which("node") is None,
    reason="needs Node.js and `make node`, as CI has them",
)
def test_the_typescript_types_compile(description: Path) -> None:
    """Generated without a warning, and accepted by the compiler in its strict mode."""
    types = description.with_name("daybook.ts")
    made = subprocess.run(
        [
            *(str(TYPESCRIPT / "openapi-typescript"), str(description), "--output", str(types)),
            # What has a default may be left out of a request.
            "--default-non-nullable=false",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert "warn" not in (made.stdout + made.stderr).lower()
    use = types.with_name("use.ts")
    use.write_text(
        'import type { components } from "./daybook";\n'
        'const body: components["schemas"]["SubmitBody"] = {\n'
        '  transaction: { source_account_id: "a", destination_account_id: "b", amount: "1.00" },\n'
        "};\n"
        'const status: components["schemas"]["Accepted"]["status"] = "ACCEPTED";\n'
        "console.log(body, status);\n"
    )
    compiled = subprocess.run(
        [str(TYPESCRIPT / "tsc"), "--strict", "--noEmit", "--skipLibCheck", str(use)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stdout

"""The first data of the embedded default: the demo token and a funded account."""

from datetime import UTC, datetime
from decimal import Decimal

from command_side.domain.commands import Transfer
from command_side.writer.commit import append_batch
from command_side.writer.writer import ROLE
from events import money
from events import schema as schemas
from events.types import Posting
from projections.catch_up import catch_up
from projections.worker import ROLE as PROJECTOR_ROLE
from runtime import database
from web import tokens

LEDGER = "demo"
TOKEN = "demo-token-for-testing"  # noqa: S105 - only for the embedded default, on loopback
EVENTS_MAX = 100
FUNDING_UNITS = Decimal(10_000)


async def seed_demo(database_url: str, schema_file: str | None = None) -> None:
    """Store the demo token and fund account-123 with 10,000.00; a second call changes nothing."""
    schema = schemas.load(schema_file)
    admin = await database.connect(database_url)
    try:
        await tokens.add_token(admin, TOKEN, {LEDGER}, ["admin"], "embedded demo")
    finally:
        await admin.close()
    currency = schema.defaults.currency
    amount = money.to_minor(FUNDING_UNITS, schema.decimals(currency), currency)
    funding = Transfer(
        ledger=LEDGER,
        key="demo-funding",
        postings=(Posting("world", "account-123", amount, currency),),
        description="Opening funds of the demo ledger",
    )
    writer = await database.connect(database_url, ROLE)
    try:
        await append_batch(writer, [funding], schema, datetime.now(UTC))
    finally:
        await writer.close()
    # The account is readable before the first request can ask for it.
    projector = await database.connect(database_url, PROJECTOR_ROLE)
    try:
        await catch_up(projector, EVENTS_MAX)
    finally:
        await projector.close()

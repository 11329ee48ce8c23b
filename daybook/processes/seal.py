"""`daybook seal`: sign checkpoints of the log's Merkle tree."""

from daybook import __version__
from daybook.settings import Settings
from runtime import database, loop
from runtime.problems import Invalid
from sealing import key_file, offsite
from sealing.sealer import ROLE, SEAL_REFUSED, Sealer
from web import health
from web.server import served


async def run(settings: Settings) -> None:
    """Seal the log until SIGINT or SIGTERM. Raises NoteError, Invalid."""
    if settings.seal_key_file is None:
        detail = "DAYBOOK_SEAL_KEY_FILE is not set; `daybook seal-key FILE` makes a key."
        raise Invalid("seal_key_missing", detail)
    signers = key_file.signers(settings.seal_key_file)
    stop = loop.stop_on_signals()
    async with (
        offsite.opened_if(settings.seal_checkpoints) as place,
        database.pool(settings.database_url, ROLE, 1) as pool,
    ):
        app = health.application(
            __version__, {"database": lambda: pool.fetchval("SELECT 1"), "seal": _not_refused}
        )
        worker = Sealer(settings, signers, place)
        async with served(app, settings.host, settings.health_port):
            await loop.run_forever("the sealer", worker.run_once, worker.rest, stop)
        await worker.close()


async def _not_refused() -> None:
    for metric in SEAL_REFUSED.collect():
        if any(sample.value for sample in metric.samples):
            raise RuntimeError("the log contradicts what was sealed; see this process's log")

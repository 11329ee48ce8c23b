"""`daybook seal`: the log, sealed."""

from daybook import __version__
from projections.sealing import offsite, sealer
from projections.sealing.sealer import ROLE, Sealer
from runtime import database, health, loop, telemetry
from runtime.problems import Invalid
from runtime.server import served
from runtime.settings import Settings


async def run(settings: Settings) -> None:
    """Seal the log until SIGINT or SIGTERM. Raises NoteError, Invalid."""
    if settings.seal_key_file is None:
        detail = "DAYBOOK_SEAL_KEY_FILE is not set; `daybook seal-key FILE` makes a key."
        raise Invalid("seal_key_missing", detail)
    signers = sealer.signers(settings.seal_key_file)
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
    for metric in telemetry.SEAL_REFUSED.collect():
        if any(sample.value for sample in metric.samples):
            raise RuntimeError("the log does not follow from what was sealed; see the log")

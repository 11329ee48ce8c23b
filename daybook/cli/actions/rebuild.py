"""`daybook rebuild`: build all read models anew, and report the rows that differed."""

from auditing.rebuild import rebuild as rebuilds
from auditing.rebuild.rebuild import Rebuilt
from daybook.cli.actions.progress import phases
from daybook.cli.actions.repair import user
from daybook.settings import Settings
from runtime import database


async def rebuild(
    settings: Settings, by: str | None, compare_only: bool, keep_old: bool
) -> Rebuilt:
    """Rebuild the read models. Raises Conflict, Rejected, Unavailable."""
    try:
        with phases() as shown:
            return await rebuilds.rebuild(
                settings.database_url,
                rebuilt_by=by or user(),
                progress=shown,
                compare_only=compare_only,
                keep_old=keep_old,
            )
    except database.CONNECTION_ERRORS as error:
        raise database.unavailable(error) from error


async def drop_old(settings: Settings) -> None:
    """Drop the tables that a rebuild kept. Raises Conflict, Unavailable."""
    await rebuilds.drop_old(settings.database_url)


def as_text(built: Rebuilt) -> str:
    """Return the result of a rebuild as text."""
    elapsed = (built.finished_at - built.started_at).total_seconds()
    lines = []
    for table in built.differences:
        lines.append(f"{table.table}: {table.differing:,} rows differ; the first of them:")
        for row in table.first:
            lines += [f"    live   {row.live or 'no row'}", f"    built  {row.built or 'no row'}"]
    lines.append(
        f"{built.position:,} events, {built.row_count:,} rows, in {elapsed:.1f} s:"
        f" {'swapped in' if built.swapped else 'compared only'};"
        f" {f'{built.differing:,} rows differed' if built.differing else 'no row differed'}"
    )
    if built.old_kept:
        lines.append("the old tables are in the schema read_replaced: `daybook rebuild --drop-old`")
    return "\n".join(lines)

"""Look after one database now."""

from __future__ import annotations

from collections.abc import Sequence

from dbadmin import audit
from dbadmin.choices import Verdict
from dbadmin.engines.base import Examination
from dbadmin.exceptions import DatabaseError, ValidationFailed
from dbadmin.models import Database, Job
from dbadmin.progress import Progress
from dbadmin.text import Text

LEVELS = {Verdict.CRITICAL: "error", Verdict.WARNING: "warning", Verdict.UNKNOWN: "warning"}


def maintain(
    database: Database, *, steps: Sequence[str] = (), progress: Progress, job: Job | None = None
) -> tuple[Examination, ...]:
    """Do the steps, all of the engine's without; return what each came to, which the log has too.

    ``DatabaseError`` when damage was found: then nothing after it was done.
    """
    chosen = require_steps(database, steps)
    done: tuple[Examination, ...] = database.adapter.maintain(database.connection(), steps=chosen, progress=progress)
    for each in done:
        level = LEVELS.get(Verdict(each.verdict), "info")
        progress.log(Text("{step}: {result}", step=each.name, result=each.message), level=level)
    audit.record(audit.from_job(job), "maintenance.complete", database, steps=list(chosen))
    if damaged := next((each for each in done if each.verdict == Verdict.CRITICAL), None):
        raise DatabaseError(
            Text("{step}: {result}", step=damaged.name, result=damaged.message),
            Text("Nothing else was done. Restore the newest proven backup beside it and compare."),
        )
    return done


def require_steps(database: Database, steps: Sequence[str]) -> tuple[str, ...]:
    """Return the steps in the engine's order; ``ValidationFailed`` for one that it does not know."""
    known = database.adapter.maintenance
    if unknown := [name for name in steps if name not in known]:
        raise ValidationFailed(
            Text("{engine} knows no step “{step}”.", engine=database.adapter.label, step=unknown[0]),
            Text("It knows: {steps}.", steps=", ".join(known)),
        )
    return tuple(name for name in known if not steps or name in steps)

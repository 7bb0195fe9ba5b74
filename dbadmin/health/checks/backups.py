"""Whether there is something to restore, and how much would be lost."""

from __future__ import annotations

from dbadmin.choices import Verdict
from dbadmin.health.registry import ALL, Observation, Result, check, graded
from dbadmin.text import Text


@check("backup_freshness", Text("Backup freshness"), engines=ALL, live=False)
def backup_freshness(seen: Observation) -> Result:
    """Judged from the catalogue, so it is known of a database that is down too, when it matters most."""
    limit = seen.thresholds.backup_age_hours
    if limit <= 0:
        return Result(verdict=Verdict.SKIPPED, message=Text("No age limit for backups is set."))
    if seen.newest_backup is None:
        return Result(
            verdict=Verdict.CRITICAL,
            message=Text("There is no full backup that could be restored."),
            hint=Text("Back up now."),
        )
    hours = (seen.now - seen.newest_backup).total_seconds() / 3600
    verdict = graded(hours, (limit, 2 * limit))
    return Result(
        verdict=verdict,
        message=Text(
            "The newest full backup is {hours} hours old; {limit} are allowed.", hours=round(hours, 1), limit=limit
        ),
        hint=Text("Back up now, and look why no newer backup was made.") if verdict != Verdict.OK else Text(""),
        value=hours,
    )

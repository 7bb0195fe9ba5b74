"""Whether there is something to restore, and how much would be lost."""

from __future__ import annotations

from datetime import datetime

from dbadmin.choices import DrillState, Verdict
from dbadmin.health.registry import ALL, Observation, Proof, Result, Thresholds, check, graded
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
            message=Text("There is no verified full backup."),
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


@check("drill", Text("Proof by drill"), engines=ALL, live=False)
def drill(seen: Observation) -> Result:
    """A backup that was never restored is a hope; one whose newest drill failed is a fault."""
    if seen.proof is None:
        return Result(
            verdict=Verdict.SKIPPED,
            message=Text("No backup of this database has been drilled, so nothing proves that one can be restored."),
            hint=Text("Drill the newest backup from its page."),
        )
    if seen.proof.state == DrillState.INCOMPLETE:
        return Result(
            verdict=Verdict.WARNING,
            message=Text("Nothing differed in the newest drill, but not everything had been compared."),
            hint=Text("Give counting and hashing more time in the settings of the database."),
        )
    if seen.proof.state != DrillState.PROVEN:
        return Result(
            verdict=Verdict.CRITICAL,
            message=Text("The newest drill did not prove its backup."),
            hint=Text("Its page says what differs. Take a new backup and drill it."),
        )
    return _aged(seen.proof, seen.thresholds, seen.now)


def _aged(proof: Proof, limits: Thresholds, now: datetime) -> Result:
    days = (now - (proof.proven_at or proof.finished_at)).total_seconds() / 86400
    minutes = (proof.restore_seconds or 0) / 60
    if proof.proven_at is None:
        return Result(
            verdict=Verdict.WARNING,
            message=Text("No backup that is still there is proven."),
            hint=Text("Drill the newest backup from its page."),
        )
    if days > limits.proof_age_days:
        return Result(
            verdict=Verdict.WARNING,
            message=Text("The newest proof is {days} days old; {limit} are allowed.", days=round(days),
                         limit=round(limits.proof_age_days)),
            hint=Text("Drill the newest backup from its page."),
            value=days,
        )  # fmt: skip
    if minutes > limits.restore_minutes:
        return Result(
            verdict=Verdict.WARNING,
            message=Text("A restore took {minutes} minutes in the newest drill; {limit} are acceptable.",
                         minutes=round(minutes), limit=round(limits.restore_minutes)),
            hint=Text("Make the database smaller or the machine faster, or accept a longer restore."),
            value=days,
        )  # fmt: skip
    return Result(
        verdict=Verdict.OK, message=Text("A backup was proven {days} days ago.", days=round(days, 1)), value=days
    )

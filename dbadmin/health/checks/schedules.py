"""Whether backups are made by themselves, and whether they were."""

from __future__ import annotations

from datetime import datetime, timedelta

from dbadmin.choices import RunState, ScheduleKind, Verdict
from dbadmin.health.registry import ALL, Observation, Result, Unmended, check
from dbadmin.text import Text

# The clock ticks every minute at the latest.
TICKS_WITHIN = timedelta(minutes=10)


@check("schedule", Text("Scheduled backups"), engines=ALL, live=False)
def schedule(seen: Observation) -> Result:
    """A database that nobody backs up by the clock is lost sooner or later."""
    plans = seen.plans
    if not plans.backups:
        return Result(
            verdict=Verdict.CRITICAL if seen.is_production else Verdict.WARNING,
            message=Text("No schedule makes full backups of this database."),
            hint=Text("Add one, or let one run again that is paused."),
            value=0,
        )
    if plans.unreadable:
        return Result(
            verdict=Verdict.CRITICAL,
            message=Text("When these schedules are due cannot be told: {names}.", names=", ".join(plans.unreadable)),
            hint=Text("Their pages say what is wrong with the times or the time zone. Save them once it is right."),
            value=plans.backups,
        )
    if plans.oldest_due and seen.now - plans.oldest_due[0] > TICKS_WITHIN:
        return Result(
            verdict=Verdict.CRITICAL,
            message=Text("“{schedule}” is overdue since {moment}.", schedule=plans.oldest_due[1],
                         moment=_written(plans.oldest_due[0])),
            hint=Text("Nothing ticks. Start the worker, or have cron tick with “schedules install”."),
            value=plans.backups,
        )  # fmt: skip
    return Result(
        verdict=Verdict.OK,
        message=Text("The next full backup is due on {moment}.", moment=_written(plans.next_backup)),
        value=plans.backups,
    )


@check("schedule_runs", Text("Runs of schedules"), engines=ALL, live=False)
def schedule_runs(seen: Observation) -> Result:
    """Every night that failed is told until one succeeds; a later full backup mends a backup that was not made."""
    bad = [run for run in seen.plans.unmended if not _is_mended(run, seen.newest_backup)]
    if bad:
        return unmended(min(bad, key=lambda run: run.kind != ScheduleKind.BACKUP), of=len(bad))
    if not seen.plans.schedules:
        return Result(verdict=Verdict.SKIPPED, message=Text("No schedule is for this database."))
    return Result(verdict=Verdict.OK, message=Text("Nothing that was due failed or was missed."), value=0)


@check("drill_key", Text("Keys of scheduled drills"), engines=ALL, live=False)
def drill_key(seen: Observation) -> Result:
    """A server that only writes encrypted archives cannot drill them by the clock; that is told before it fails."""
    plans = seen.plans
    if not plans.drills:
        return Result(verdict=Verdict.SKIPPED, message=Text("No schedule drills this database."))
    if not plans.closed:
        return Result(verdict=Verdict.OK, message=Text("The newest full backup can be read here."))
    return Result(
        verdict=Verdict.WARNING,
        message=Text("“{schedule}” cannot drill the backups here: they are encrypted, and the private key is not on "
                     "this server: {keys}.", schedule=plans.drills[0], keys=plans.closed),
        hint=Text("Drill the newest backup by hand with the key file, on its page or by “drill run … --key-file FILE”, "
                  "or import the private key. Take the database out of the schedule if that is how it stays."),
    )  # fmt: skip


def unmended(run: Unmended, *, of: int = 1) -> Result:
    """Say of a run that it failed or was missed; it is the worst of so many."""
    hint = (
        Text("Nothing mends this while the schedule is paused. Run it now when the cause is mended, or resume it.")
        if run.is_paused
        else Text("The page of the schedule lists what happened. Run it now when the cause is mended.")
    )
    return Result(
        verdict=Verdict.CRITICAL if run.kind == ScheduleKind.BACKUP else Verdict.WARNING,
        message=_said(run),
        hint=hint,
        value=of,
    )


def _said(run: Unmended) -> Text:
    if run.state == RunState.MISSED:
        if run.is_paused:
            return Text("“{schedule}”, which is paused, was missed on {moment}: {reason}", **_places(run))
        return Text("“{schedule}” was missed on {moment}: {reason}", **_places(run))
    if run.is_paused:
        return Text("“{schedule}”, which is paused, failed on {moment}: {reason}", **_places(run))
    return Text("“{schedule}” failed on {moment}: {reason}", **_places(run))


def _is_mended(run: Unmended, newest_backup: datetime | None) -> bool:
    return run.kind == ScheduleKind.BACKUP and newest_backup is not None and newest_backup > run.due_at


def _places(run: Unmended) -> dict[str, object]:
    return {"schedule": run.schedule, "moment": _written(run.due_at), "reason": run.reason}


def _written(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "–"

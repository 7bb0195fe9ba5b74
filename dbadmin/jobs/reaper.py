"""Notice workers that died, end what they started, and remove what they left half done."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from dbadmin.backups import drill, imports, spool, take, undo
from dbadmin.choices import JobKind, JobState
from dbadmin.exceptions import DbadminError
from dbadmin.jobs import queue
from dbadmin.jobs.lease import Worker, this_host
from dbadmin.models import Job, JobLogLine
from dbadmin.process import end_group_by_pid
from dbadmin.text import Text

FORGOTTEN_FOR = timedelta(minutes=10)
REAPING_TAKES = timedelta(minutes=1)
CLEAN_UP = {
    JobKind.BACKUP: take.discard_unfinished,
    JobKind.RESTORE: undo.clean_up,
    JobKind.IMPORT: imports.discard_unfinished,
    JobKind.UNDO: undo.clean_up,
    JobKind.DRILL: drill.discard_unfinished,
}


def reap(now: datetime) -> list[Job]:
    """Declare every job lost whose lease is over, or whose worker was a process of this machine and is gone.

    Ends the recorded process group where it is ours, removes spool, half-stored archive and half-made target, and
    queues the one repetition of a backup, health check or history reading. Returns the lost jobs. May run in several
    processes at once: each job is lost once.
    """
    running = Job.objects.filter(state=JobState.RUNNING).select_related("database", "requested_by")
    suspects = running.filter(Q(lease_until__lt=now) | Q(host=this_host()))
    lost = [job for job in suspects if _is_lost(job, now) and _reap(job)]
    _make_up_for_dead_reapers(now)
    return lost


def _is_lost(job: Job, now: datetime) -> bool:
    expired = job.lease_until is None or job.lease_until < now
    return expired or Worker(name=job.worker, host=job.host).is_gone


def _reap(job: Job) -> bool:
    if not queue.lose(
        job,
        Text("The worker that did this job has died."),
        hint=Text("What was half done is removed. A backup is repeated once by itself."),
    ):
        return False
    if job.host == this_host() and job.process_id:
        end_group_by_pid(job.process_id, job.process_started)
    _clean_up(job)
    return True


def _make_up_for_dead_reapers(now: datetime) -> None:
    """Clean up after and repeat what was declared lost by a reaper that died itself before it could."""
    lost = Job.objects.filter(state=JobState.LOST, retried_by=None)
    forgotten = lost.filter(finished_at__gt=now - FORGOTTEN_FOR, finished_at__lt=now - REAPING_TAKES)
    for job in forgotten.select_related("database", "requested_by"):
        _clean_up(job)


def _clean_up(job: Job) -> None:
    spool.clean(job)
    _remove_half_done(job)
    queue.repeat(job)


def _remove_half_done(job: Job) -> None:
    """What cannot be removed now, such as in a storage that is away, is named in the job's log."""
    clean_up = CLEAN_UP.get(JobKind(job.kind))
    if clean_up is None:
        return
    try:
        clean_up(job)
    except DbadminError as error:
        JobLogLine.of(job, Text("Removing what was half done failed: {reason}", reason=error.message), "error").save()

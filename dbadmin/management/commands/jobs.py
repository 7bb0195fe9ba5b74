"""List and cancel jobs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from dbadmin import audit
from dbadmin.choices import JobState
from dbadmin.jobs.queue import cancel
from dbadmin.management.command import Outcome, VerbCommand
from dbadmin.management.rows import clock, job_row, require
from dbadmin.management.values import whole
from dbadmin.models import Job
from dbadmin.text import Text


class Command(VerbCommand):
    """``jobs list|cancel``."""

    help = "List and cancel background work."
    verbs = {"list": "list jobs, newest first", "cancel": "stop a job and remove what it has half done"}

    def add_list(self, parser: ArgumentParser) -> None:
        """Add filters."""
        parser.add_argument("--state", choices=JobState.values)
        parser.add_argument("--limit", type=whole(1), default=50, help="default: %(default)s")

    def do_list(self, options: dict[str, Any]) -> Outcome:
        """List the newest."""
        jobs = Job.objects.select_related("database")
        if options["state"]:
            jobs = jobs.filter(state=options["state"])
        found = list(jobs[: options["limit"]])
        return Outcome(results=[job_row(job) for job in found], lines=[_line(job) for job in found])

    def add_cancel(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("id", type=int)
        parser.add_argument("--reason", default="")

    def do_cancel(self, options: dict[str, Any]) -> Outcome:
        """Ask it to stop."""
        job = require(Job.objects.select_related("database"), options["id"], what=Text("job"))
        job = cancel(job, actor=audit.from_shell(), reason=options["reason"])
        is_over = job.state == JobState.CANCELLED
        told = Text("{job}: cancelled", job=job) if is_over else Text("{job}: asked to stop", job=job)
        return Outcome(results=[job_row(job)], lines=[told])


def _line(job: Job) -> str:
    percent = f"{job.percent} %" if job.is_active and job.percent is not None else ""
    told = job.phase if job.is_active else job.message
    return (
        f"{job.pk:>6}  {clock(job.created_at)}  {job.get_kind_display():<24} {job.database.slug:<24} "
        f"{job.get_state_display():<15} {percent:>5} {told}"
    ).rstrip()

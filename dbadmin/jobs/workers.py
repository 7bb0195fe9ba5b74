"""Who works: the workers of all machines, what they do now, and what nobody would do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q, QuerySet

from dbadmin.choices import JobState
from dbadmin.jobs.bell import LONG, SHORT, queue_of, queues_of
from dbadmin.jobs.lease import Worker
from dbadmin.jobs.presence import STALE_AFTER
from dbadmin.jobs.version import VERSION
from dbadmin.models import Database, Job, WorkerProcess
from dbadmin.text import Text

KEEP = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A worker and the job that it works on now."""

    process: WorkerProcess
    job: Job | None
    is_alive: bool

    @property
    def machine(self) -> str:
        """The name of its machine, without what tells its boots apart."""
        return self.process.host.rpartition(" ")[0] or self.process.host

    @property
    def is_of_our_version(self) -> bool:
        """It was started from the same files as this process."""
        return self.process.version == VERSION


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Queues that a site needs and no living worker listens to; ``site`` is empty for databases without one."""

    site: str
    queues: tuple[str, ...]
    waiting: int
    since: datetime | None = None

    @property
    def sentence(self) -> Text:
        """What is wrong."""
        if len(self.queues) == 1:
            return Text("No worker takes the jobs of “{queue}”; jobs that wait for one: {n}.", **self._figures)
        if self.site:
            return Text("No worker runs for the site “{site}”; jobs that wait for one: {n}.", **self._figures)
        return Text("No worker runs for databases without a site; jobs that wait for one: {n}.", **self._figures)

    @property
    def _figures(self) -> dict[str, str | int]:
        return {"site": self.site, "n": self.waiting, "queue": self.queues[0]}

    @property
    def command(self) -> str:
        """What to run to mend it."""
        return f"manage.py worker --site {self.site}" if self.site else "manage.py worker"


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """All workers that were seen lately: the living first."""

    seen: list[Seen] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    waiting: int = 0

    @property
    def alive(self) -> list[Seen]:
        """Those with a fresh heartbeat."""
        return [worker for worker in self.seen if worker.is_alive]

    @property
    def machines(self) -> set[str]:
        """The machines of the living."""
        return {worker.machine for worker in self.alive}

    @property
    def others(self) -> list[Seen]:
        """The living that were started from other files than this process."""
        return [worker for worker in self.alive if not worker.is_of_our_version]


def gather(now: datetime) -> Fleet:
    """Read everything about workers with five queries, however many there are."""
    running = Job.objects.filter(state=JobState.RUNNING).select_related("database__application").defer("traceback")
    jobs = {(job.host, job.worker): job for job in running}
    seen = [
        Seen(process=each, job=jobs.get((each.host, each.name)), is_alive=is_alive(each, now))
        for each in WorkerProcess.objects.order_by("host", "name")
    ]
    seen.sort(key=lambda each: not each.is_alive)
    return Fleet(seen=seen, gaps=gaps(now), waiting=Job.objects.filter(state=JobState.QUEUED).count())


def is_alive(process: WorkerProcess, now: datetime) -> bool:
    """Say whether the worker has not ended, was heard of within a minute, and on this machine is there still."""
    if process.stopped_at is not None or now - process.heartbeat_at >= STALE_AFTER:
        return False
    return not Worker(name=process.name, host=process.host).is_gone


def gaps(now: datetime) -> list[Gap]:
    """Return the sites of registered databases, or none of them, whose jobs nobody would take. Three queries."""
    served = _served(now)
    jobs = Job.objects.filter(state=JobState.QUEUED).order_by().values_list("database__site")
    waiting = {site: (count, since) for site, count, since in jobs.annotate(Count("pk"), Min("created_at"))}
    known = set(Database.objects.registered().order_by().values_list("site", flat=True).distinct())
    found = []
    for site in sorted(known | set(waiting)):
        needed = (queue for name in (LONG, SHORT) for queue in queues_of(name, site=site))
        if missing := tuple(queue for queue in needed if queue not in served):
            count, since = waiting.get(site, (0, None))
            found.append(Gap(site=site, queues=missing, waiting=count, since=since))
    return found


def complaints(now: datetime) -> list[Gap]:
    """Return the gaps for which a job has waited longer than a start or a restart of workers takes."""
    if not Job.objects.filter(state=JobState.QUEUED, created_at__lt=now - STALE_AFTER).exists():
        return []
    return [gap for gap in gaps(now) if gap.since and gap.since < now - STALE_AFTER]


def nobody_takes(job: Job, now: datetime) -> Text | None:
    """Return why a waiting job waits in vain; None when a worker listens for it."""
    if job.state != JobState.QUEUED or queue_of(job.kind, job.database.site) in _served(now):
        return None
    if job.database.site:
        return Text("It waits for a worker of the site “{site}”; none runs.", site=job.database.site)
    return Text("It waits for a worker; none runs that takes it.")


def someone_works(now: datetime) -> bool:
    """Say whether any worker lives."""
    return _living(now).exists()


def forget(now: datetime) -> None:
    """Delete the rows of workers that ended or were last heard of a day ago."""
    WorkerProcess.objects.filter(Q(stopped_at__lt=now - KEEP) | Q(heartbeat_at__lt=now - KEEP)).delete()


def _served(now: datetime) -> set[str]:
    return {queue for found in _living(now).values_list("queues", flat=True) for queue in found}


def _living(now: datetime) -> QuerySet[WorkerProcess]:
    return WorkerProcess.objects.filter(stopped_at=None, heartbeat_at__gt=now - STALE_AFTER)

"""Who works on a job, and how that is believed: a lease that a thread renews."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import TracebackType

from django.db import InterfaceError, OperationalError, connections
from django.utils import timezone

from dbadmin.choices import JobState
from dbadmin.models import Job
from dbadmin.process import start_time

LEASE = timedelta(seconds=30)
RENEW_SECONDS = 5.0
WATCH_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A process that works on jobs: pid and the kernel's start time, on one boot of one machine."""

    name: str
    host: str

    @classmethod
    def current(cls) -> Worker:
        """Return the calling process."""
        return cls(name=f"{os.getpid()}/{start_time(os.getpid())}", host=this_host())

    @property
    def is_gone(self) -> bool:
        """Known to be dead: it was a process of this machine, and that process is not there any more."""
        pid, _slash, started = self.name.partition("/")
        return self.host == this_host() and pid.isdigit() and start_time(int(pid)) != started


@cache
def this_host() -> str:
    """Name this machine, this boot of it and this pid namespace, in which process ids mean the same."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    parts = (boot.read_text().strip() if boot.exists() else "", os.readlink(namespace) if namespace.exists() else "")
    return f"{socket.gethostname()[:80]} {hashlib.sha256('/'.join(parts).encode()).hexdigest()[:8]}"


class Lease:
    """Renews the lease of a claimed job from a thread of its own while the block runs.

    ``cancelled`` is set when somebody asks the job to stop, and with ``overdue`` when its deadline is over; ``lost``
    when the job was given up by a reaper.
    """

    def __init__(self, job: Job) -> None:
        self.cancelled = threading.Event()
        self.overdue = threading.Event()
        self.lost = threading.Event()
        self._held = Job.objects.filter(pk=job.pk, state=JobState.RUNNING, worker=job.worker)
        self._deadline = job.deadline_at
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"lease-{job.pk}", daemon=True)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        renewed = time.monotonic()
        while not self._over.wait(WATCH_SECONDS):
            try:
                if time.monotonic() - renewed >= RENEW_SECONDS:
                    self._renew()
                    renewed = time.monotonic()
                self._look()
            except (OperationalError, InterfaceError):  # the catalogue is away; it is tried again until it is back
                connections.close_all()
        connections.close_all()

    def _renew(self) -> None:
        if not self._held.update(lease_until=timezone.now() + LEASE):
            self.lost.set()

    def _look(self) -> None:
        if self._held.filter(cancel_requested_at__isnull=False).exists():
            self.cancelled.set()
        elif self._deadline is not None and timezone.now() > self._deadline:
            self.overdue.set()
            self.cancelled.set()

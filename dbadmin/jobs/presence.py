"""A worker process shows itself: a row with a heartbeat, from a thread that also beats while the process works."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType

from django.db import InterfaceError, OperationalError, connections
from django.utils import timezone

from dbadmin.jobs.lease import Worker
from dbadmin.jobs.version import VERSION
from dbadmin.models import WorkerProcess

BEAT_SECONDS = 10.0
LEAVE_SECONDS = 3.0
STALE_AFTER = timedelta(seconds=60)

# What this process listens to; empty in a process that is not a worker, which may work on everything.
_listening: frozenset[str] = frozenset()


def listens_to(queue: str) -> bool:
    """Say whether this process may work on jobs of ``queue``."""
    return not _listening or queue in _listening


class Presence:
    """While the block runs, this process is a worker that others see. One at a time in a process."""

    def __init__(self, queues: Sequence[str]) -> None:
        self._queues = list(queues)
        self._worker = Worker.current()
        self._started = timezone.now()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="presence", daemon=True)

    def __enter__(self) -> Presence:
        global _listening
        _listening = frozenset(self._queues)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        global _listening
        _listening = frozenset()
        self._over.set()
        self._thread.join(LEAVE_SECONDS)

    def _beat(self) -> None:
        while True:
            self._try(stopped=False)
            if self._over.wait(BEAT_SECONDS):
                break
        self._try(stopped=True)
        connections.close_all()

    def _try(self, *, stopped: bool) -> None:
        """A catalogue that is away is asked again at the next beat."""
        try:
            self._show(stopped=stopped)
        except (OperationalError, InterfaceError):
            connections.close_all()

    def _show(self, *, stopped: bool) -> None:
        now = timezone.now()
        WorkerProcess.objects.update_or_create(
            name=self._worker.name,
            host=self._worker.host,
            defaults={
                "version": VERSION,
                "queues": self._queues,
                "process_id": os.getpid(),
                "started_at": self._started,
                "heartbeat_at": now,
                "stopped_at": now if stopped else None,
            },
        )

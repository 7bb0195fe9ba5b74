"""A worker that hears its bells in Redis. Told to end, it behaves as the worker of the catalogue's queue does."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from django.db import close_old_connections

from dbadmin.jobs import execution
from dbadmin.jobs.bells.base import Unreachable
from dbadmin.jobs.bells.redis import RedisBells

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Listener:
    """Works on one job after another in this process. Use it from the main thread, once.

    Anything unexpected ends it: whoever supervises starts it again, from the files as they are then, and the job that
    it could not begin is rung for again.
    """

    def __init__(self, queues: Sequence[str]) -> None:
        self._queues = tuple(queues)
        self._bells = RedisBells()
        self._told = False
        self._works = False

    def run(self) -> None:
        """Work until SIGTERM or SIGINT: then finish the present job; told twice, break it off and clean up."""
        for number in SIGNALS:
            signal.signal(number, self._leave)
        while not self._told:
            job_id = self._hear()
            if job_id is not None:
                self._work(job_id)
            close_old_connections()

    def _hear(self) -> int | None:
        try:
            return self._bells.hear(self._queues)
        except Unreachable as error:
            logger.error("%s", error)
            time.sleep(PAUSE_SECONDS)
            return None

    def _work(self, job_id: int) -> None:
        self._works = True
        try:
            execution.execute(job_id)
        finally:
            self._works = False

    def _leave(self, number: int, frame: FrameType | None) -> None:
        if self._told or not self._works:
            for each in SIGNALS:
                signal.signal(each, signal.SIG_DFL)
            sys.exit(1 if self._works else 0)
        self._told = True

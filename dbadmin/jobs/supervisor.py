"""One process that starts others, starts those again that die, and ends with exactly those it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import IO, TextIO

from django.conf import settings

from dbadmin.jobs.bell import LONG, SHORT, queues_of
from dbadmin.process import Command, end_group

POLL_SECONDS = 0.2
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
WELL_AFTER_SECONDS = 60.0
# What is told to end finishes its present work if that takes no longer, then breaks it off and cleans up.
FINISH_SECONDS = 3.0
CLEAN_UP_SECONDS = 20.0
TICK_SECONDS = 15
# Somebody waits for the first page; nobody waits for the first job.
WEB_FIRST_SECONDS = 1.5
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, kw_only=True)
class Child:
    """A program to keep running. ``death_signal`` is what it gets when the supervisor is killed.

    ``wait_seconds``: how long others have the processor for themselves at first.
    """

    name: str
    argv: tuple[str, ...]
    death_signal: str = "KILL"
    wait_seconds: float = 0.0

    def start(self) -> subprocess.Popen[bytes]:
        """Start it in a session of its own, with the supervisor's environment."""
        command = Command(
            argv=self.argv, env=dict(os.environ), cwd=Path(settings.BASE_DIR), death_signal=self.death_signal
        )
        return command.start(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def dashboard_children(bind: str, *, long_workers: int) -> tuple[Child, ...]:
    """Return the web server, which may start first, and everything that works behind it.

    On a machine of a site the workers take its jobs first, then those of databases without a site.
    """
    workers = worker_children(long_workers=long_workers, site=settings.SITE, also_general=True)
    return (web_child(bind), *(replace(worker, wait_seconds=WEB_FIRST_SECONDS) for worker in workers))


def worker_children(
    *, long_workers: int, tick_seconds: int = TICK_SECONDS, site: str = "", also_general: bool = False
) -> tuple[Child, ...]:
    """Workers for long work, one for short work that never waits behind it, and the clock.

    They take the jobs of databases at ``site``, with ``also_general`` also of those without a site.
    """
    long, short = (queues_of(kind, site=site, also_general=also_general) for kind in (LONG, SHORT))
    for_long_work = (_worker(f"long-{number}", long) for number in range(1, long_workers + 1))
    clock = Child(name="clock", argv=_manage("tick", "--every", str(tick_seconds)))
    return (*for_long_work, _worker("short", short), clock)


def web_child(bind: str) -> Child:
    """Return gunicorn with threads, listening on ``host:port``; it ends by itself when the supervisor is killed."""
    options = ("--worker-class", "gthread", "--workers", "2", "--threads", "4", "--log-level", "warning", "--preload")
    argv = (sys.executable, "-m", "gunicorn", "project.wsgi", "--bind", bind, "--no-control-socket", *options)
    return Child(name="web", argv=argv, death_signal="TERM")


def _worker(name: str, queues: Sequence[str]) -> Child:
    if settings.REDIS_URL:
        return Child(name=name, argv=_manage("redis_worker", *queues))
    options = ("--no-reload", "--no-startup-delay", "--skip-checks", "--verbosity", "0")
    return Child(name=name, argv=_manage("db_worker", "--queue-name", ",".join(queues), *options))


def _manage(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), *arguments)


@dataclass
class _Kept:
    """A child with the process that runs it now, and how long to wait before the next one."""

    child: Child
    output: TextIO
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    delay: float = FIRST_DELAY_SECONDS
    due_at: float = 0.0

    def keep(self) -> None:
        """Start it when it does not run and is due; note when it has died."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.due_at:
                self._start(now)
        elif self.process.poll() is not None:
            self._died(now)

    def _start(self, now: float) -> None:
        self.process = self.child.start()
        self.started_at = now
        assert self.process.stdout is not None
        threading.Thread(target=self._copy, args=(self.process.stdout,), daemon=True).start()

    def _died(self, now: float) -> None:
        assert self.process is not None
        code = self.process.returncode
        if now - self.started_at > WELL_AFTER_SECONDS:
            self.delay = FIRST_DELAY_SECONDS
        self._say(f"ended with exit code {code}; starting it again in {self.delay:g} s")
        self.process, self.due_at = None, now + self.delay
        self.delay = min(2 * self.delay, LONGEST_DELAY_SECONDS)

    def _copy(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._say(line.decode(errors="replace").rstrip())

    def _say(self, line: str) -> None:
        self.output.write(f"{self.child.name:>8} | {line}\n")
        self.output.flush()


@dataclass
class Supervisor:
    """Keeps ``children`` running until SIGTERM, SIGINT or SIGHUP. Use it from the main thread, once."""

    children: Sequence[Child]
    output: TextIO = field(default_factory=lambda: sys.stderr)

    def __post_init__(self) -> None:
        now = time.monotonic()
        self._kept = [_Kept(child, self.output, due_at=now + child.wait_seconds) for child in self.children]
        self._stop = threading.Event()
        self._hurry = threading.Event()

    def run(self, *, started: Callable[[], None] | None = None) -> None:
        """Start the children, call ``started``, and return when all have ended after a signal.

        A second signal ends them at once.
        """
        with self._signals():
            try:
                self._keep()
                if started is not None:
                    started()
                while not self._stop.wait(POLL_SECONDS):
                    self._keep()
            finally:
                self._end()

    def _keep(self) -> None:
        for kept in self._kept:
            kept.keep()

    def _end(self) -> None:
        """Ask once, ask again (a worker then breaks its job off and cleans up), then kill."""
        running = [kept.process for kept in self._kept if kept.process is not None]
        for patience in (FINISH_SECONDS, CLEAN_UP_SECONDS):
            for process in running:
                if process.poll() is None:
                    process.terminate()
            self._wait(running, patience)
        for process in running:
            end_group(process, grace=0)

    def _wait(self, running: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._hurry.is_set():
            if all(process.poll() is not None for process in running):
                return
            time.sleep(POLL_SECONDS / 4)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._told) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _told(self, number: int, frame: FrameType | None) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

"""A real `manage.py` in other processes, on the catalogue of the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from dbadmin.backups import spool
from dbadmin.models import Job

Answer = TypeVar("Answer")


def environment() -> dict[str, str]:
    names = ("PATH", "HOME", "LANG", "CI", "DBADMIN_POSTGRESQL_BIN")
    return {name: os.environ[name] for name in names if name in os.environ} | {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DBADMIN_HOME": str(settings.HOME),
        "DATABASE_URL": catalogue_url(),
    }


def catalogue_url() -> str:
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    login = f"{found['USER']}:{quote(found['PASSWORD'], safe='')}"
    if found["HOST"].startswith("/"):  # the folder of a socket
        return f"postgres://{login}@/{found['NAME']}?host={quote(found['HOST'])}&port={found['PORT'] or 5432}"
    place = f"{found['HOST']}:{found['PORT']}" if found["PORT"] else found["HOST"]
    return f"postgres://{login}@{place}/{found['NAME']}"


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), *arguments]


@contextmanager
def supervised(
    *arguments: str, env: Mapping[str, str] | None = None, only: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a supervisor; it is told to end, and killed if it does not, when the block is left.

    ``env`` comes on top of the usual environment, ``only`` in its place.
    """
    variables = dict(only) if only is not None else environment() | dict(env or {})
    process = subprocess.Popen(
        command(*arguments), env=variables, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def until(answer: Callable[[], Answer], *, seconds: float = 300) -> Answer:
    """Wait for a true answer, and return it. ``seconds`` is long, because it matters only where something is broken."""
    end = time.monotonic() + seconds
    while not (found := answer()):
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.01)
    return found


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def frozen_in_the_middle(job: Job) -> int:
    """Stop the worker as soon as it has written part of the dump, and return its pid."""
    until(lambda: any(path.stat().st_size for path in spool.root().glob(f"job-{job.pk}-*/*")))
    pid = int(Job.objects.get(pk=job.pk).worker.partition("/")[0])
    os.kill(pid, signal.SIGSTOP)
    return pid


def over(job: Job) -> Callable[[], bool]:
    def look() -> bool:
        job.refresh_from_db()
        return not job.is_active

    return look

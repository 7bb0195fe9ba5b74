"""Functions of test modules, each run in a process of its own, forked from one that has Django loaded.

It is what a worker does with a job, without the second that Python and Django take to start.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from tests.jobs.workers import environment


@dataclass
class Forked:
    """``function``: “module:name”, which takes what JSON can carry and returns text, for whoever calls ``wait``."""

    process: subprocess.Popen[str]

    def run(self, function: str, *arguments: object) -> tuple[int, str]:
        """Return the exit code, negative for a signal, and what the function has returned."""
        self.start(function, *arguments)
        return self.wait()

    def start(self, function: str, *arguments: object) -> int:
        """Return the id of its process. ``wait`` has to be called before the next one."""
        assert self.process.stdin is not None
        print(json.dumps([function, *arguments]), file=self.process.stdin, flush=True)
        return int(self._answer())

    def wait(self) -> tuple[int, str]:
        """As ``run``."""
        code, returned = self._answer()
        return code, returned

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


def forked() -> Forked:
    """Return what works with the environment of now; it ends with these tests."""
    return _forked(tuple(environment().items()))


@functools.cache
def _forked(variables: tuple[tuple[str, str], ...]) -> Forked:
    argv = [sys.executable, "-m", "tests.jobs.forking"]
    return Forked(
        subprocess.Popen(
            argv, cwd=settings.BASE_DIR, env=dict(variables), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    )

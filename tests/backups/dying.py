"""Work in a child process that SIGKILL ends at its n-th step: a statement to the catalogue, or a sign of life."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from django.db import connection, connections

from dbadmin.progress import Progress, Silent


class _Mortal(Silent):
    def __init__(self, steps: int) -> None:
        self.left = steps

    def check(self) -> None:
        self.step()

    def statement(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        self.step()
        return execute(*arguments)

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def dies_after(steps: int, work: Callable[[Progress], object]) -> bool:
    """Say whether it was killed; False when it came to its end before. Needs a test with real transactions."""
    connections.close_all()  # the child must not share them
    child = os.fork()
    if not child:
        _live(_Mortal(steps), work)
    _child, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed, see its traceback above"
    return os.WIFSIGNALED(status)


def _live(mortal: _Mortal, work: Callable[[Progress], object]) -> None:
    code = 1
    try:
        with connection.execute_wrapper(mortal.statement):
            work(mortal)
        code = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(code)

"""Calls from several threads at once, each with its own connection to the catalogue."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connections, transaction

Answer = TypeVar("Answer")


def at_once(times: int, call: Callable[[], Answer]) -> list[Answer]:
    barrier = Barrier(times)

    def run() -> Answer:
        barrier.wait()
        return _and_close(call)

    with ThreadPoolExecutor(times) as pool:
        return [future.result() for future in [pool.submit(run) for _ in range(times)]]


def between(first: Callable[[], object], other: Callable[[], Answer], second: Callable[[], object]) -> Answer:
    """Call ``other`` in a thread while a transaction has done its first step and not yet its second.

    On PostgreSQL it goes as far as it can beside that transaction; SQLite has it wait.
    """
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first()
            future = pool.submit(_and_close, other)
            time.sleep(0.5)
            second()
        return future.result(60)


def _and_close(call: Callable[[], Answer]) -> Answer:
    try:
        return call()
    finally:
        connections.close_all()

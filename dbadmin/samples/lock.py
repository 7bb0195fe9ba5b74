"""One quickstart in one home folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbadmin.exceptions import Refused
from dbadmin.text import Text


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold ``home/quickstart.lock``; ``Refused`` when another process holds it.

    The kernel lets go of the lock when its process ends, in whatever way: a file left behind locks nobody out.
    """
    descriptor = os.open(home / "quickstart.lock", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(
                Text(
                    "A quickstart is running in {home} already (process {pid}).",
                    home=str(home),
                    pid=file.read().strip() or "–",
                ),
                Text("Use that one, end it with Ctrl-C, or choose another folder with --home."),
            ) from error
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield

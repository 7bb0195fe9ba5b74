"""What is asked of a queue that carries bells."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol

from dbadmin.exceptions import DbadminError


class Bell(NamedTuple):
    """A bell that waits to be heard: for which job, in which queue."""

    job_id: int
    queue: str


class Unreachable(DbadminError):
    """The queue does not answer. The jobs are in the catalogue; they wait until it does."""

    label = "QueueError"


class Bells(Protocol):
    """Every method raises ``Unreachable`` when the queue does not answer."""

    def standing(self) -> set[Bell]:
        """Return the bells that nobody has heard yet."""
        ...

    def failure(self, job_id: int) -> str | None:
        """Return the class of the newest error with which a worker failed to begin the job, where that is known."""
        ...

    def require(self) -> None:
        """Raise ``Unreachable`` when the queue does not answer now."""
        ...

    def prune(self, now: datetime) -> None:
        """Forget bells that were heard long ago."""
        ...

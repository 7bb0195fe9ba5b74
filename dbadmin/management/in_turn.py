"""One job for each of several databases, in this process; when it is ended early it still says how far it came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dbadmin.choices import JobKind
from dbadmin.jobs.foreground import signals_as_exit
from dbadmin.models import Database, Job
from dbadmin.text import Text


@dataclass
class Round:
    """Jobs that are over, the one that a signal broke off among them, and the databases whose turn did not come.

    exit_code: of the signal, 130 for Ctrl-C; 0 when none came.
    """

    jobs: list[Job] = field(default_factory=list)
    not_begun: list[Database] = field(default_factory=list)
    exit_code: int = 0

    def rows(self, kind: JobKind) -> Iterator[dict[str, Any]]:
        """What was not begun, for ``--json``."""
        for database in self.not_begun:
            yield {"id": None, "kind": kind.value, "state": "not_begun", "database": database.slug}

    def lines(self) -> Iterator[str]:
        """What was not begun, and the sum of it; nothing when no signal came."""
        if self.exit_code:
            yield from (str(Text("{database}: not begun", database=each.slug)) for each in self.not_begun)
            yield str(
                Text("Ended by a signal: {begun} of {all} were begun; what was broken off left nothing behind.",
                     begun=len(self.jobs), all=len(self.jobs) + len(self.not_begun))
            )  # fmt: skip


def in_turn(kind: JobKind, databases: Iterable[Database], work: Callable[[Database], Job]) -> Round:
    """Do ``work``, which makes and ends a job of ``kind``, for one after the other, until a signal comes."""
    done = Round(not_begun=list(databases))
    known = Job.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    try:
        with signals_as_exit():
            while done.not_begun:
                done.jobs.append(work(done.not_begun[0]))
                done.not_begun.pop(0)
    except SystemExit as leaving:
        done.exit_code = int(leaving.code or 0)
        _note_broken_off(done, kind, known)
    return done


def _note_broken_off(done: Round, kind: JobKind, known: int) -> None:
    """Whose turn it was has a job, unless the signal came before that was made."""
    if not done.not_begun:
        return
    begun = Job.objects.select_related("database").filter(kind=kind, database=done.not_begun[0], pk__gt=known)
    if (job := begun.exclude(pk__in=[each.pk for each in done.jobs]).first()) is not None:
        done.jobs.append(job)
        done.not_begun.pop(0)

"""What a check is, what it may look at, and the list of all checks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dbadmin.choices import EngineName, Verdict
from dbadmin.engines.base import Snapshot
from dbadmin.exceptions import DbadminError
from dbadmin.text import Text

logger = logging.getLogger(__name__)

ALL = frozenset(EngineName)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """From where on something is a warning, and where two are named, critical. An MB is 1024 * 1024 bytes."""

    connections_percent: tuple[float, float] = (80, 90)
    size_megabytes: float = 1000
    wal_megabytes: tuple[float, float] = (64, 512)
    failed_probes: tuple[int, int] = (1, 3)
    backup_age_hours: float = 26
    history_age_days: float = 1
    proof_age_days: float = 35
    restore_minutes: float = 60


@dataclass(frozen=True, kw_only=True)
class Migrations:
    """The newest reading of one migration tool: revisions that need somebody, and what was said about them."""

    tool: str
    head: str
    pending: int | None
    problem: Text
    read_at: datetime
    failed: tuple[str, ...] = ()
    file_missing: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The newest full drill that came to an end: its state, when it ended, and how long the restore took."""

    state: str
    finished_at: datetime
    restore_seconds: float | None = None
    proven_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Archives:
    """What was found when the storages were last looked into; ``away``: those that hold something and could not
    be read; ``ill``: those that can be, and have another problem, such as a full disk. ``is_cut_off``: the database
    could be brought back, but only from storages that are away.

    ``vanished_copies`` are of backups that have another copy, ``vanished_backups`` have none. ``partial``: backups
    that are not yet in all their storages; ``without``: storages that failed repeatedly to take them. ``undeleted``:
    copies that retention has released and cannot delete, since when, and the newest reason.
    """

    looked_at: datetime | None = None
    vanished_backups: int = 0
    vanished_copies: int = 0
    orphans: int = 0
    away: tuple[str, ...] = ()
    ill: tuple[str, ...] = ()
    is_cut_off: bool = False
    partial: int = 0
    without: tuple[str, ...] = ()
    undeleted: int = 0
    undeleted_since: datetime | None = None
    undeleted_because: Text | None = None


@dataclass(frozen=True, kw_only=True)
class Unmended:
    """The newest run of a schedule that failed or was missed, and that none has succeeded after.

    ``is_paused``: no later run of the schedule comes by itself.
    """

    schedule: str
    kind: str
    state: str
    due_at: datetime
    reason: Text
    is_paused: bool = False


@dataclass(frozen=True, kw_only=True)
class Plans:
    """What ``schedules`` enabled ones ask; ``backups`` of them make full ones, ``unreadable`` have no next moment.

    ``unmended`` are of paused ones too. ``oldest_due``: the moment that is due first, of whichever schedule, and the
    schedule's name. ``drills``: the names of those that drill; ``closed``: the keys of which they would need one to
    read the newest full backup, and the server has none.
    """

    schedules: int = 0
    backups: int = 0
    next_backup: datetime | None = None
    unreadable: tuple[str, ...] = ()
    oldest_due: tuple[datetime, str] | None = None
    unmended: tuple[Unmended, ...] = ()
    drills: tuple[str, ...] = ()
    closed: Text | None = None


@dataclass(frozen=True, kw_only=True)
class Observation:
    """Everything checks look at, gathered beforehand.

    ``snapshot`` is None when the database was not reached; ``failure`` says why, and ``failed_probes`` how many
    times in a row, this time included. ``newest_backup``: the moment whose content the newest restorable full
    backup holds. ``proof``: None when nothing was ever drilled.
    """

    now: datetime
    snapshot: Snapshot | None = None
    failure: DbadminError | None = None
    failed_probes: int = 0
    newest_backup: datetime | None = None
    proof: Proof | None = None
    migrations: tuple[Migrations, ...] = ()
    archives: Archives = field(default_factory=Archives)
    plans: Plans = field(default_factory=Plans)
    is_production: bool = False
    thresholds: Thresholds = field(default_factory=Thresholds)

    def __getitem__(self, name: str) -> Any:
        """Return a value of the snapshot that the check declared in ``needs``."""
        assert self.snapshot is not None, "checks that need values are not asked without a snapshot"
        return self.snapshot.values[name]


@dataclass(frozen=True, kw_only=True)
class Result:
    """A judgement: a sentence, what to do about it, and the figure it rests on, if there is one."""

    verdict: Verdict
    message: Text
    hint: Text = field(default_factory=lambda: Text(""))
    value: float | None = None


Judge = Callable[[Observation], Result]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A pure function with its identity. ``live``: it speaks of the database itself, so it has to be reachable."""

    id: str
    label: Text
    engines: frozenset[str]
    needs: tuple[str, ...]
    live: bool
    judge: Judge


CHECKS: dict[str, Check] = {}


def check(
    check_id: str,
    label: Text,
    *,
    engines: Iterable[str],
    needs: Sequence[str] = (),
    live: bool = True,
) -> Callable[[Judge], Judge]:
    """Register a check. It is not asked, and is unknown, when a value in ``needs`` was not gathered."""

    def register(judge: Judge) -> Judge:
        assert check_id not in CHECKS, check_id
        CHECKS[check_id] = Check(
            id=check_id, label=label, engines=frozenset(engines), needs=tuple(needs), live=live, judge=judge
        )
        return judge

    return register


def evaluate(engine: str, seen: Observation) -> dict[str, Result]:
    """Ask every check of an engine: check id -> result, in the order of registration. Never raises."""
    return {one.id: _ask(one, seen) for one in CHECKS.values() if engine in one.engines}


def _ask(one: Check, seen: Observation) -> Result:
    if one.live and seen.snapshot is None:
        return unknown(Text("The database could not be reached, so this was not looked at."))
    if reason := next(_missing(one.needs, seen), None):
        return unknown(reason)
    try:
        return one.judge(seen)
    except Exception:
        # A bug in one check must neither hide the others nor pass for health.
        logger.exception("The check %s failed", one.id)
        return unknown(
            Text("The check “{check}” itself failed.", check=one.id),
            Text("This is a bug; the log of the worker or the command has the details."),
        )


def _missing(needs: Sequence[str], seen: Observation) -> Iterator[Text]:
    snapshot: Snapshot = seen.snapshot or Snapshot()
    for name in needs:
        if name in snapshot.unavailable:
            yield snapshot.unavailable[name]
        elif snapshot.values.get(name) is None:
            yield Text("The engine did not report “{name}”.", name=name)


def unknown(message: Text, hint: Text | None = None) -> Result:
    """Return the answer of a check that cannot tell."""
    return Result(verdict=Verdict.UNKNOWN, message=message, hint=hint or Text(""))


def graded(value: float, limits: tuple[float, float]) -> Verdict:
    """Return ok below the first limit, warning from it on, critical from the second on."""
    warning, critical = limits
    if value >= critical:
        return Verdict.CRITICAL
    return Verdict.WARNING if value >= warning else Verdict.OK


def labels() -> Mapping[str, Text]:
    """Return check id -> what people call the check."""
    return {one.id: one.label for one in CHECKS.values()}

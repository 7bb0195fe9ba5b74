"""What the pages say about keeping and letting go: copies by database and storage, counted, and drawn by their age."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from django.db import transaction
from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dbadmin.backups.judging import Judged, concerned, judge, preview
from dbadmin.charts import Dot, dots
from dbadmin.exceptions import ValidationFailed
from dbadmin.models import Backup, Database, Retention, Schedule, Storage
from dbadmin.templatetags.schedules import clock
from dbadmin.text import Text

# A page is for reading; whoever has more databases chooses one.
MOST_DATABASES = 40
MOST_LANES = 10
MOST_ROWS = 100
MOST_DOTS = 300
# What differs from copy to copy in a reason is left out where copies are counted by their reasons.
IN_GENERAL: dict[str, Promise] = {
    "The newest of the hour {hour}.": gettext_lazy("The newest of an hour."),
    "The newest of the day {day}.": gettext_lazy("The newest of a day."),
    "The newest of the week {week}.": gettext_lazy("The newest of a week."),
    "The newest of the month {month}.": gettext_lazy("The newest of a month."),
    "The newest of the year {year}.": gettext_lazy("The newest of a year."),
    "Pinned: {note}": gettext_lazy("Pinned."),
}
# What only these keep goes as soon as they are over.
FOR_NOW = frozenset(
    {
        "The newest run of “{schedule}” ({time}) did not succeed; until one does, nothing of it goes.",
        "The newest backup job ({job}) did not succeed; until one does, nothing goes.",
        "The newest backup has not reached this storage yet; until then nothing here goes.",
        "The newest backup here is damaged or has vanished; until there is a newer one nothing here goes.",
        "It was stored only minutes ago.",
        "A job is reading it.",
        "Another storage still waits for its copy.",
    }
)


@dataclass(frozen=True, kw_only=True)
class Lane:
    """The copies of one database in one storage, newest first."""

    database: Database
    storage: Storage
    copies: list[Judged]
    rows: list[Judged]
    now: datetime

    @property
    def picture(self) -> SafeString:
        """One dot per copy, by its age."""
        words = _("{keep} copies stay and {go} go, by their age; the newest is at the right.")
        points = [_dot(judged, self.now) for judged in self.copies[:MOST_DOTS]]
        return dots(points, words.format(keep=len(self.copies) - self.going, go=self.going))

    @cached_property
    def going(self) -> int:
        """How many would go."""
        return sum(not judged.keep for judged in self.copies)

    @property
    def unlisted(self) -> int:
        """How many of the rows asked for are too many for a page."""
        return max(0, len(self.rows) - MOST_ROWS)

    @property
    def listed(self) -> list[Judged]:
        """The rows that the page has."""
        return self.rows[:MOST_ROWS]


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a retention would do now."""

    lanes: list[Lane] = field(default_factory=list)
    is_narrowed: bool = False
    has_more: bool = False
    is_trial: bool = False

    @property
    def shown(self) -> list[Lane]:
        """As many as fit a page; the others are counted only."""
        return self.lanes[:MOST_LANES]

    @cached_property
    def copies(self) -> list[Judged]:
        """All that are judged by it."""
        return [judged for lane in self.lanes for judged in lane.copies]

    @cached_property
    def going(self) -> list[Judged]:
        """Those that would go."""
        return [judged for judged in self.copies if not judged.keep]

    @cached_property
    def postponed(self) -> list[Judged]:
        """Those that stay only for now."""
        return [judged for judged in self.copies if _is_for_now(judged)]

    @property
    def freed(self) -> int:
        """Bytes that would become free."""
        return sum(judged.copy.size for judged in self.going)

    @property
    def why(self) -> list[tuple[str, int]]:
        """The reasons why copies stay, and how many each keeps; one copy may have several."""
        reasons = [reason for each in self.copies if each.keep for reason in each.reasons]
        words = {_kind_of(reason): reason for reason in reasons}
        counted = Counter(map(_kind_of, reasons)).most_common()
        return [(str(IN_GENERAL.get(kind[0]) or words[kind]), n) for kind, n in counted]


def outlook(retention: Retention, *, now: datetime, database: str = "", show: str = "") -> Outlook:
    """Say what a retention, saved or not, would do now to what it is used for.

    One that nothing uses yet is tried on everything. ``database`` is a short name, ``show`` is “keep”, “go” or all.
    ``ValidationFailed`` when its time zone is none.
    """
    used = concerned(retention) if retention.pk else Database.objects.none()
    is_trial = not used.exists()
    rows = Database.objects.registered() if is_trial else used
    rows = rows.select_related("application")
    found = list((rows.filter(slug=database) if database else rows)[: MOST_DATABASES + 1])
    judgements = preview(found[:MOST_DATABASES], retention=retention, everywhere=is_trial, now=now)
    mine = [judged for each in judgements for judged in each.copies if _is_by(judged, retention)]
    return Outlook(
        lanes=_lanes(mine, {each.database.pk: each.database for each in judgements}, now=now, show=show),
        is_narrowed=bool(database),
        has_more=len(found) > MOST_DATABASES,
        is_trial=is_trial,
    )


def let_go_by(change: Callable[[], object], databases: Iterable[Database], *, now: datetime) -> list[Judged]:
    """Return what retention would release because of a change: it is made, looked at, and undone.

    The change must do nothing but write to the catalogue. Of a database with a retention whose time zone is unknown
    here nothing goes.
    """
    found = list(databases)
    before = _not_for_good(found, now)
    with transaction.atomic():
        change()
        after = _not_for_good(found, now)
        transaction.set_rollback(True)
    return [judged for pk, judged in after.items() if pk not in before]


def _not_for_good(databases: Iterable[Database], now: datetime) -> dict[int, Judged]:
    """Return what goes, now or as soon as what holds it is over."""
    copies = [judged for database in databases for judged in _judged(database, now)]
    return {judged.copy.pk: judged for judged in copies if not judged.keep or _is_for_now(judged)}


def _judged(database: Database, now: datetime) -> Iterable[Judged]:
    """Judge its copies; none while a retention cannot be applied, since nothing is deleted until that is mended."""
    try:
        return judge(database, now=now).copies
    except ValidationFailed:
        return ()


def backed_up_by(schedule: Schedule) -> QuerySet[Database]:
    """Return the databases on which the destinations of a schedule bear."""
    return Database.objects.registered().filter(backups__schedule=schedule).distinct()


def stored_in(storage: Storage) -> QuerySet[Database]:
    """Return the databases on which the retention of a storage bears."""
    return Database.objects.registered().filter(backups__copies__storage=storage).distinct()


def of_backup(backup: Backup, now: datetime) -> list[Judged]:
    """Say of each copy of a backup that is there, or is waited for, whether it stays, and why."""
    return list(judge(backup.database, now=now, backup=backup).copies)


def _is_for_now(judged: Judged) -> bool:
    return judged.keep and {reason.msgid for reason in judged.reasons} <= FOR_NOW


def _is_by(judged: Judged, retention: Retention) -> bool:
    return judged.retention is retention or (judged.retention is not None and judged.retention.pk == retention.pk)


def _lanes(copies: Iterable[Judged], databases: dict[int, Database], *, now: datetime, show: str) -> list[Lane]:
    grouped: dict[tuple[int, Storage], list[Judged]] = defaultdict(list)
    for judged in copies:
        grouped[judged.copy.backup.database_id, judged.copy.storage].append(judged)
    wanted = {"keep": (True,), "go": (False,)}.get(show, (True, False))
    return [
        Lane(
            database=databases[pk],
            storage=storage,
            copies=found,
            rows=[judged for judged in found if judged.keep in wanted],
            now=now,
        )
        for (pk, storage), found in grouped.items()
    ]


def _dot(judged: Judged, now: datetime) -> Dot:
    at = judged.copy.backup.started_at
    stays = _("stays") if judged.keep else _("goes")
    return Dot(
        age=max(timedelta(), now - at),
        title=f"{clock(at, 'UTC')}: {stays}. {judged.reasons[0]}",
        colour="green" if judged.keep else "red",
        is_hollow=not judged.keep,
    )


def _kind_of(reason: Text) -> tuple[str, frozenset[tuple[str, str]]]:
    """Return what is the same for all copies that stay for the same reason."""
    if reason.msgid in IN_GENERAL:
        return reason.msgid, frozenset()
    return reason.msgid, frozenset((name, str(value)) for name, value in reason.params.items())

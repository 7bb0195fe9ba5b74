"""Put a backup in the place of what exists: proven beside it first, then switched, with a way back."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups.own import require_not_own
from dbadmin.backups.restore import Restoring, close, fail, require_same_engine
from dbadmin.backups.safety import link_safety_backup, note, save_before
from dbadmin.backups.spool import spool
from dbadmin.choices import EngineName, RestoreMode, RestoreState, Scope
from dbadmin.engines.base import Engine, ReportLine, RestoreOptions, Switch
from dbadmin.engines.files import tables as narrowing
from dbadmin.exceptions import DatabaseError, DbadminError, Refused, ValidationFailed
from dbadmin.models import Backup, Database, Job, Restore
from dbadmin.progress import Progress
from dbadmin.text import Text

KEEP_HOURS, LONGEST_HOURS = 72, 24 * 365


def replace_with_backup(
    *,
    backup: Backup,
    database: Database,
    keep_hours: int = KEEP_HOURS,
    keep_owners: bool = True,
    without_safety: bool = False,
    files: tuple[str, ...] = (),
    progress: Progress,
    job: Job | None = None,
) -> Restore:
    """Make ``database`` exactly what ``backup`` holds; what it was is kept for ``keep_hours`` so that it can be undone.

    A normal backup of what is there comes first; ``without_safety`` goes on when it cannot be taken. The copy is
    restored beside and has to be equal to the backup before it takes the place. The returned row is exact; when it
    says failed, the database is what it was. While that cannot be seen, such as of a server that went away, it says
    running, and ``settle`` decides. ``files``: only these of a set, everything else in the folder is left alone.
    """
    require_replaceable(backup, database)
    require_files(backup, files)
    replacing = _Replacing.begin(backup, database, keep_hours=keep_hours, files=files, job=job)
    try:
        replacing.look()
        replacing.save(without_safety=without_safety, progress=progress)
        lines = replacing.prepare(RestoreOptions(keep_owners=keep_owners), progress)
        replacing.intend()
        return replacing.switch(lines, progress)
    except BaseException as error:  # also when the worker is told to end
        replacing.give_up(error)
        raise


def require_replaceable(backup: Backup, database: Database) -> None:
    """Refuse what can never be put in the place of ``database``."""
    require_same_engine(backup, database)
    require_not_own(database)
    if backup.scope != Scope.FULL:
        raise Refused(
            Text("Only a full backup can take the place of a database."),
            Text("Choose a full backup, or restore this one beside what exists."),
        )
    current = database.connection()
    if not database.adapter.exists(current):
        raise Refused(
            Text("“{name}” is not there, so there is nothing to replace.", name=current.address),
            Text("Restore into a new one of that name."),
        )


def settle(row: Restore, job: Job | None, error: BaseException | None = None) -> None:
    """Finish or undo what is unfinished, and say in the row on which side of the switch the database is.

    Raises ``DbadminError`` when that cannot be seen now; the row stays running, and this can be called again.
    """
    database = target_of(row)
    engine, current = database.adapter, place_of(row, database)
    link_safety_backup(row, job)
    if "switch" in row.way_back and _settled(engine, current, Switch.from_json(row.way_back["switch"])):
        finish(row, job)
        return
    if row.way_back.get("creating"):
        engine.discard(engine.new_target(current, candidate_name(engine, current, row)))
    row.way_back = {"database": database.pk}
    if error is not None:
        fail(row, error, job)
    else:
        close(row, RestoreState.FAILED)


def target_of(row: Restore) -> Database:
    """Return the database that a restore replaces."""
    return Database.objects.select_related("application").get(pk=row.way_back.get("database", row.backup.database_id))


def place_of(row: Restore, database: Database) -> Any:
    """Return the connection of what is replaced: of a set of files perhaps only some."""
    current = database.connection()
    return narrowing.narrowed(current, row.tables) if row.mode == RestoreMode.REPLACE and row.tables else current


def require_files(backup: Backup, files: tuple[str, ...]) -> None:
    """Refuse names of files that the backup does not hold."""
    held = backup.measured().tables
    missing = [name for name in files if name not in held or backup.database.engine != EngineName.FILES]
    if missing:
        raise ValidationFailed(
            Text("The backup has no file “{name}”.", name=missing[0]),
            Text("It has: {names}.", names=", ".join(sorted(held)[:50])),
        )


def candidate_name(engine: Engine, current: Any, row: Restore) -> str:
    """Return what the copy is called until it takes the place."""
    return engine.beside_name(current, f"__restore_{row.pk}")


def kept_name(engine: Engine, current: Any, row: Restore) -> str:
    """Return what the old one is called afterwards."""
    return engine.beside_name(current, f"__before_{row.pk}")


def finish(row: Restore, job: Job | None) -> None:
    """Write that the copy is in its place, and until when that can be undone."""
    row.way_back_until = timezone.now() + timedelta(hours=int(row.way_back.get("keep_hours", KEEP_HOURS)))
    until = row.way_back_until.isoformat(timespec="seconds")
    with transaction.atomic():
        close(row, RestoreState.EXACT)
        audit.record(audit.from_job(job), "restore.replaced", row, target=row.target, way_back_until=until)


def _settled(engine: Engine, current: Any, switch: Switch) -> bool:
    """Look twice: once the candidate is discarded, nobody who is still at work can switch to it any more."""
    if engine.settle(current, switch):
        return True
    engine.discard(engine.new_target(current, switch.candidate))
    return engine.settle(current, switch)


@dataclass(frozen=True, kw_only=True)
class _Replacing:
    row: Restore
    restoring: Restoring
    database: Database
    current: Any
    job: Job | None

    @classmethod
    def begin(
        cls, backup: Backup, database: Database, *, keep_hours: int, files: tuple[str, ...], job: Job | None
    ) -> _Replacing:
        engine = database.adapter
        row = Restore.objects.create(
            backup=backup,
            job=job,
            mode=RestoreMode.REPLACE,
            tables=list(files),
            target=database.connection().address[:300],
            started_at=timezone.now(),
            way_back={"database": database.pk, "keep_hours": min(max(1, keep_hours), LONGEST_HOURS)},
        )
        current = place_of(row, database)
        target = engine.new_target(database.connection(), candidate_name(engine, current, row))
        restoring = Restoring(backup=backup, engine=engine, target=target, job=job)
        return cls(row=row, restoring=restoring, database=database, current=current, job=job)

    @property
    def engine(self) -> Engine:
        return self.restoring.engine

    def look(self) -> None:
        """Refuse at once what would be refused after an hour of restoring."""
        if self.engine.exists(self.restoring.target):
            raise Refused(
                Text("“{name}” is there already.", name=self.restoring.target.address),
                Text("Move it away or remove it, then try again."),
            )
        self._switch()

    def save(self, *, without_safety: bool, progress: Progress) -> None:
        save_before(self.row, self.database, without_safety=without_safety, progress=progress, job=self.job)

    def prepare(self, options: RestoreOptions, progress: Progress) -> tuple[ReportLine, ...]:
        """Restore beside; there is an exception unless the copy is equal to the backup."""
        self._remember(creating=True)
        with spool(self.job) as folder:
            manifest = self.restoring.unpack(folder, progress)
            lines = self.restoring.restore(folder, manifest, options, progress)
        differences, remarks = self.restoring.compare(manifest, progress)
        self.row.differences = [asdict(difference) for difference in differences]
        if differences:
            raise DatabaseError(
                Text("The restored copy differs from the backup; differences: {count}.", count=len(differences)),
                Text("The database was not changed. The report lists what differs; choose another backup."),
            )
        for line in manifest.facts.unmeasured:
            note(self.row, line, progress)
        if self.row.tables:
            narrowing.keep_only(self.restoring.target, self.row.tables)
        return (*lines, *remarks)

    def intend(self) -> None:
        """Note what is going to be done, unless somebody has cancelled it; from here on a crash is settled."""
        switch = self._switch()
        with transaction.atomic():
            if self.job is not None:
                self.job.require_held()
            self._remember(switch=switch.to_json())

    def switch(self, lines: tuple[ReportLine, ...], progress: Progress) -> Restore:
        switch = Switch.from_json(self.row.way_back["switch"])
        try:
            lines += self.engine.replace(self.current, switch, progress=progress)
        except DbadminError as error:
            if not self.engine.settle(self.current, switch):
                raise
            note(self.row, error.message, progress)
        self._check(switch, progress)
        self.row.lines = [*self.row.lines, *(line.to_json() for line in lines)]
        finish(self.row, self.job)
        return self.row

    def give_up(self, error: BaseException) -> None:
        """Say what is known; while nothing is, the row stays running, and the clock settles it."""
        if self.row.state == RestoreState.RUNNING:
            with contextlib.suppress(DbadminError):
                settle(self.row, self.job, error)

    def _switch(self) -> Switch:
        candidate = candidate_name(self.engine, self.current, self.row)
        kept = kept_name(self.engine, self.current, self.row)
        return self.engine.intend(self.current, candidate=candidate, kept=kept)

    def _check(self, switch: Switch, progress: Progress) -> None:
        """Look whether what is current now answers; otherwise go back at once."""
        progress.phase(Text("Checking"))
        if (failed := self.engine.probe(self.current).failed) is None:
            return
        back = self.engine.intend(self.current, candidate=switch.kept, kept=switch.candidate)
        self.engine.replace(self.current, back, progress=progress)
        raise DatabaseError(
            Text("What was restored does not answer: {reason}", reason=failed.message),
            Text("What was there before is in its place again."),
        )

    def _remember(self, **noted: Any) -> None:
        self.row.way_back = self.row.way_back | noted
        self.row.save(update_fields=["way_back"])

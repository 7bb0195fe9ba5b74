"""Bring a backup back, beside what exists, and compare it with what was measured when it was taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.manifest import Manifest
from dbadmin.backups.places import FIELDS, require_listed
from dbadmin.backups.reading import unpack
from dbadmin.backups.spool import spool
from dbadmin.choices import EngineName, RestoreState
from dbadmin.engines.base import DATA, SCHEMA, Engine, NotAllRestored, ReportLine, RestoreOptions, made_anew
from dbadmin.engines.files.tables import narrowed
from dbadmin.exceptions import DbadminError, Refused
from dbadmin.facts import Difference, Facts
from dbadmin.models import Backup, Database, Job, Restore
from dbadmin.progress import Progress
from dbadmin.text import Text


def restore_backup(
    *,
    backup: Backup,
    target_name: str,
    server: Database | None = None,
    keep_owners: bool,
    progress: Progress,
    job: Job | None = None,
) -> Restore:
    """Restore into a new database, file or folder called ``target_name`` and compare it with the backup's facts.

    ``server``: a registered database of the same engine beside which the new one is made; the backup's own without.
    The returned row is exact or different, never a success with errors inside. After any exception the row says
    failed, and the target does not exist unless it existed before.
    """
    beside = server or backup.database
    target = new_target(backup, beside, target_name, anywhere=job is None or audit.by_shell(job))
    restoring = Restoring(backup=backup, engine=backup.database.adapter, target=target, job=job)
    row = restoring.begin()
    try:
        with spool(job) as folder:
            manifest = restoring.unpack(folder, progress)
            lines = restoring.restore(folder, manifest, RestoreOptions(keep_owners=keep_owners), progress)
        with restoring.nothing_left():
            differences, remarks = restoring.compare(manifest, progress)
            return _finish(row, (*lines, *remarks), differences + manifest.facts.unknowns(), job)
    except BaseException as error:  # also when the worker is told to end
        fail(row, error, job)
        raise


def new_target(backup: Backup, beside: Database, name: str, *, anywhere: bool = True) -> Any:
    """Return where ``name`` would be made; ``Refused`` when that exists, ``ValidationFailed`` for a bad name.

    Beside a database that was removed: SQLite and files only, and by an absolute path where its place is not known.
    ``anywhere`` is for those who may write to this machine without us; for others see ``require_listed``.
    """
    require_same_engine(backup, beside)
    engine, target = backup.database.adapter, _called(name, backup, beside)
    if not anywhere:
        require_listed(backup.database.engine, target)
    if engine.exists(target):
        raise Refused(
            Text("“{name}” exists already.", name=name),
            Text("Choose a new name, or replace the registered database."),
        )
    return target


def require_same_engine(backup: Backup, database: Database) -> None:
    """Refuse a database of another kind than the backup."""
    if database.engine != backup.database.engine:
        raise Refused(
            Text("“{name}” is of another kind than the backup.", name=database.name),
            Text("Choose one of kind {engine}.", engine=backup.database.adapter.label),
        )


def discard_unfinished(job: Job) -> None:
    """Remove the half-made target of a restore job that died, and say in its row that it failed."""
    row = Restore.objects.select_related("backup__database").filter(job=job, state=RestoreState.RUNNING).first()
    if row is None:
        return
    if job.params.get("creating"):
        beside = Database.objects.filter(slug=job.params.get("server") or "").first() or row.backup.database
        beside.adapter.discard(_called(job.params["target_name"], row.backup, beside))
    close(row, RestoreState.FAILED)


@dataclass(frozen=True, kw_only=True)
class Restoring:
    """The steps that every restore has in common: into ``target``, which is new."""

    backup: Backup
    engine: Engine
    target: Any
    job: Job | None

    def begin(self) -> Restore:
        """Make the row."""
        return Restore.objects.create(
            backup=self.backup, job=self.job, target=self.target.address[:300], started_at=timezone.now()
        )

    def unpack(self, folder: Path, progress: Progress) -> Manifest:
        """Read the archive into ``folder``; a backup that proves damaged is called so."""
        return unpack(self.backup, folder, progress)

    def restore(
        self, folder: Path, manifest: Manifest, options: RestoreOptions, progress: Progress
    ) -> tuple[ReportLine, ...]:
        """Make the target, unless somebody has cancelled the job."""
        if self.job is not None:
            self.job.note(creating=True)
        progress.check()
        return self.engine.restore(
            self.target,
            spool=folder,
            scope=manifest.scope,
            origin=manifest.origin,
            client_version=manifest.client_version,
            options=options,
            progress=progress,
        )

    def compare(self, manifest: Manifest, progress: Progress) -> tuple[tuple[Difference, ...], tuple[ReportLine, ...]]:
        """Measure the target; return what is not as the backup has it, and remarks on what a restore fills anew."""
        progress.phase(Text("Comparing with the backup"))
        found = self.engine.facts(self.target, progress=progress, measuring=manifest.facts.measuring)
        expected, found = (comparable(facts, manifest.scope) for facts in (manifest.facts, found))
        return expected.differences(found), made_anew(expected, found)

    @contextmanager
    def nothing_left(self) -> Iterator[None]:
        """Remove the target when the block fails."""
        try:
            yield
        except BaseException:
            self.engine.discard(self.target)
            raise


def comparable(facts: Facts, scope: str) -> Facts:
    """Leave out what a backup of this scope does not hold."""
    if scope == SCHEMA:
        return replace(facts, tables={}, sequences={}, checksums={}, hashes={}, missing=())
    if scope == DATA:
        return replace(facts, objects={}, names={}, schema_fingerprint="")
    return facts


def _called(name: str, backup: Backup, beside: Database) -> Any:
    """Return what is called ``name`` beside a database; a set of files is the backup's, not that of its neighbour."""
    target = beside.adapter.new_target(_neighbour(beside, name), name)
    if beside.engine == EngineName.FILES and (beside.removed_at or beside != backup.database):
        return narrowed(target, backup.measured().tables)
    return target


def _neighbour(beside: Database, name: str) -> Any:
    """Return the connection of a database; of one whose place nobody knows any more, that of an absolute path."""
    if beside.removed_at is None:
        return beside.connection()
    off = Text("“{name}” was removed from the dashboard; nothing can be made beside it.", name=beside.name)
    if beside.engine == EngineName.POSTGRESQL:
        raise Refused(off, Text("Name a registered database on whose server it is to be made: --server SLUG."))
    if beside.settings.get(FIELDS[beside.engine]):
        return beside.connection()
    if not name.startswith("/"):
        raise Refused(off, Text("Give the absolute path of what is to be made, or add the database again."))
    return beside.adapter.connection({FIELDS[beside.engine]: name, "optional": ["**"]})


def _finish(
    row: Restore, lines: tuple[ReportLine, ...], differences: tuple[Difference, ...], job: Job | None
) -> Restore:
    row.lines = [line.to_json() for line in lines]
    row.differences = [asdict(difference) for difference in differences]
    errors = any(line.level == "error" for line in lines)
    with transaction.atomic():
        if job is not None:
            job.require_held()
        close(row, RestoreState.DIFFERENT if differences or errors else RestoreState.EXACT)
        audit.record(audit.from_job(job), "restore.complete", row, state=str(row.state), differences=len(differences))
    return row


def fail(row: Restore, error: BaseException, job: Job | None) -> None:
    """Write that it failed, and why."""
    message = error.told if isinstance(error, DbadminError) else type(error).__name__
    each = error.lines if isinstance(error, NotAllRestored) else ()
    said = (ReportLine(level="error", object="", message=message), *each)
    row.lines = [*row.lines, *(line.to_json() for line in said)]
    with transaction.atomic():
        close(row, RestoreState.FAILED)
        audit.record(audit.from_job(job), "restore.failed", row)


def close(row: Restore, state: RestoreState) -> None:
    """Write how it ended."""
    row.state, row.finished_at = state, timezone.now()
    row.save(update_fields=["state", "finished_at", "lines", "differences", "way_back", "way_back_until"])

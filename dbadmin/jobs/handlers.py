"""What each kind of job does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from dbadmin import audit
from dbadmin.backups.compare import compare_backup
from dbadmin.backups.contents import must_be_in_place, replace_content
from dbadmin.backups.drill import drill_backup
from dbadmin.backups.imports import import_file
from dbadmin.backups.keys import require_key
from dbadmin.backups.missing import store_missing
from dbadmin.backups.replace import KEEP_HOURS, replace_with_backup
from dbadmin.backups.restore import restore_backup
from dbadmin.backups.rows import replace_rows
from dbadmin.backups.tables import place, restore_tables
from dbadmin.backups.take import take_backup
from dbadmin.backups.undo import undo_restore
from dbadmin.backups.verify import verify_backup
from dbadmin.choices import ComparisonState, DrillKind, DrillState, JobKind, RestoreMode, RestoreState, Scope, Verdict
from dbadmin.exceptions import Cancelled, DeadlinePassed, Refused, StorageError
from dbadmin.health.run import run_checks
from dbadmin.jobs.keeping import apply_retention, ask_to_expire, look_into_storages
from dbadmin.jobs.queue import enqueue, identities_of
from dbadmin.maintenance.run import maintain
from dbadmin.migration_history import read as migration_history
from dbadmin.models import Backup, Copy, Database, Import, Job, Restore, Schedule, Storage
from dbadmin.progress import Progress
from dbadmin.text import Text

Handler = Callable[[Job, Progress], Text]


def back_up(job: Job, progress: Progress) -> Text:
    """Parameters: ``scope`` (full), ``storages`` (ids; the default one), ``schedule`` (id of the one that asked)."""
    storages = _storages(job.params)
    backup = take_backup(
        database=job.database,
        storages=storages,
        scope=job.params.get("scope", Scope.FULL),
        progress=progress,
        schedule=Schedule.objects.filter(pk=job.params.get("schedule")).first(),
        job=job,
    )
    _look_again(job.database)
    if job.params.get("schedule"):
        ask_to_expire(job.database)
    said = Text("Backed up {rows} rows; the archive has {size}.", rows=f"{backup.row_count:,}", size=_size(backup.size))
    return _with_missing(said, backup, of=len(storages)) if backup.missing_copies else said


def copy_missing(job: Job, progress: Progress) -> Text:
    """No parameters: it makes all copies of the database that are due."""
    done, failed = store_missing(job.database, progress, job)
    if failed:
        first = failed[0]
        problem = Text("“{storage}” has not got it: {reason}", storage=first.storage.name, reason=first.message)
        again = min(copy.retry_at for copy in failed if copy.retry_at)
        hint = Text("It is tried again at {time}.", time=_clock(again))
        if not done:
            raise StorageError(problem, hint)
        return Text(
            "Copies stored: {done}, not stored: {failed}. {problem} {hint}",
            done=len(done), failed=len(failed), problem=problem, hint=hint,
        )  # fmt: skip
    return Text("Copies stored: {done}.", done=len(done)) if done else Text("No copy was missing.")


def restore(job: Job, progress: Progress) -> Text:
    """Parameters: ``backup`` (id), ``target_name``, ``server`` (slug; the backup's own), ``keep_owners`` (yes).

    With ``mode`` replace, in place of the names: ``keep_hours``, ``without_safety`` (no); it replaces the job's own
    database, with ``files`` (names) only these of a set. With ``mode`` tables: ``tables`` (names); they come into the
    job's own database, or with ``in_place`` and ``without_safety`` (no) replace the rows of those it has.
    """
    if job.params.get("mode") == RestoreMode.REPLACE:
        return _replace(job, progress)
    if job.params.get("mode") == RestoreMode.TABLES:
        return _bring_tables(job, progress)
    row = restore_backup(
        backup=_readable(job),
        target_name=job.params["target_name"],
        server=_server(job.params.get("server")),
        keep_owners=job.params.get("keep_owners", True),
        progress=progress,
        job=job,
    )
    if row.state == RestoreState.EXACT:
        return Text("Restored to {target}; everything is equal to the backup.", target=row.target)
    return Text(
        "Restored to {target}, but not equal to the backup; differences: {count}.",
        target=row.target,
        count=len(row.differences),
    )


def verify(job: Job, progress: Progress) -> Text:
    """Parameters: ``backup`` (id), ``copy`` (id of one; all of them)."""
    verify_backup(_backup(job), progress, copy=Copy.objects.filter(pk=job.params.get("copy")).first())
    return Text("Every byte of the archive is as it was stored.")


def drill(job: Job, progress: Progress) -> Text:
    """Parameters: ``backup`` (id), ``kind`` (full), ``tables`` (names, for a partial drill; some by chance).

    ``on``: the slug of a database on whose server it takes place; a throw-away place on this machine without.
    """
    backup, server = _readable(job), _server(job.params.get("on"))
    kind, tables = job.params.get("kind", DrillKind.FULL), job.params.get("tables", ())
    try:
        row = drill_backup(backup=backup, kind=kind, tables=tables, server=server, progress=progress, job=job)
    except Exception as error:
        # What could not be restored is told as soon as what differs; a drill that somebody broke off says nothing.
        if isinstance(error, DeadlinePassed) or not isinstance(error, Cancelled):
            _look_again(job.database)
        raise
    _look_again(job.database)
    if row.state == DrillState.PROVEN:
        return Text("Proven: restored in {seconds} s, and everything is equal.", seconds=row.restore_seconds)
    if row.state == DrillState.INCOMPLETE:
        return Text("Not proven: nothing differs, but not everything was compared.")
    return Text("Not proven: the drill's page lists what differs.")


def compare(job: Job, progress: Progress) -> Text:
    """Parameters: ``backup`` (id), ``with`` (id of another; the live database), ``content`` (yes)."""
    others = Backup.objects.select_related("database__application", "storage")
    other = others.get(pk=job.params["with"]) if job.params.get("with") else None
    if other is not None:
        require_key(other, offered=identities_of(job))
    row = compare_backup(
        backup=_readable(job),
        other=other,
        content=job.params.get("content", True),
        progress=progress,
        job=job,
    )
    if row.state == ComparisonState.EQUAL:
        return Text("Nothing differs.")
    if row.state == ComparisonState.INCOMPLETE:
        return Text("No difference was found, but not everything was compared.")
    return Text("They differ; the comparison's page lists how.")


def undo(job: Job, progress: Progress) -> Text:
    """Parameters: ``restore`` (id)."""
    row = undo_restore(
        row=Restore.objects.select_related("backup__database").get(pk=job.params["restore"]), progress=progress, job=job
    )
    _look_again(job.database)
    return Text("{target} is what it was before the restore.", target=row.target)


def bring_in(job: Job, progress: Progress) -> Text:
    """Parameters: ``import`` (id), ``target_name``, ``keep_owners`` (no). It goes beside the job's own database."""
    row = import_file(
        row=Import.objects.get(pk=job.params["import"]),
        server=job.database,
        target_name=job.params["target_name"],
        keep_owners=job.params.get("keep_owners", False),
        progress=progress,
        job=job,
    )
    facts = row.measured()
    return Text(
        "Imported to {target}. Tables: {tables}, rows: {rows}.",
        target=row.target,
        tables=len(facts.tables),
        rows=f"{facts.rows:,}",
    )


def check_health(job: Job, progress: Progress) -> Text:
    """No parameters."""
    run_checks(job.database, now=timezone.now())
    return Text("Checked.")


def read_history(job: Job, progress: Progress) -> Text:
    """No parameters."""
    migration_history.read_history(job.database, now=timezone.now())
    return Text("Read.")


def look_after(job: Job, progress: Progress) -> Text:
    """Parameters: ``steps`` (names; all that the engine has)."""
    done = maintain(job.database, steps=job.params.get("steps", ()), progress=progress, job=job)
    _look_again(job.database)
    if left := [each for each in done if each.verdict != Verdict.OK]:
        return Text(
            "Done but for {count}: {step}: {result}", count=len(left), step=left[0].name, result=left[0].message
        )
    return Text("All is well: {count} steps done.", count=len(done))


HANDLERS: dict[JobKind, Handler] = {
    JobKind.MAINTENANCE: look_after,
    JobKind.EXPIRE: apply_retention,
    JobKind.RECONCILE: look_into_storages,
    JobKind.BACKUP: back_up,
    JobKind.RESTORE: restore,
    JobKind.UNDO: undo,
    JobKind.IMPORT: bring_in,
    JobKind.VERIFY: verify,
    JobKind.DRILL: drill,
    JobKind.COMPARE: compare,
    JobKind.HEALTH: check_health,
    JobKind.COPY: copy_missing,
    JobKind.HISTORY: read_history,
}


def _replace(job: Job, progress: Progress) -> Text:
    if must_be_in_place(job.database):
        return _replace_inside(job, progress)
    row = replace_with_backup(
        backup=_readable(job),
        database=job.database,
        keep_hours=job.params.get("keep_hours", KEEP_HOURS),
        keep_owners=job.params.get("keep_owners", True),
        without_safety=job.params.get("without_safety", False),
        files=tuple(job.params.get("files", ())),
        progress=progress,
        job=job,
    )
    _look_again(job.database)
    if row.tables:
        names = ", ".join(row.tables)
        return Text(
            "{names} in {target} are now what the backup has. It can be undone.", names=names, target=row.target
        )
    return Text("{target} is now exactly what the backup has. It can be undone.", target=row.target)


def _replace_inside(job: Job, progress: Progress) -> Text:
    row = replace_content(
        backup=_readable(job),
        database=job.database,
        keep_owners=job.params.get("keep_owners", True),
        without_safety=job.params.get("without_safety", False),
        progress=progress,
        job=job,
    )
    _look_again(job.database)
    return Text("{target} is now exactly what the backup has. The way back is its safety backup.", target=row.target)


def _bring_tables(job: Job, progress: Progress) -> Text:
    tables = tuple(job.params["tables"])
    if job.params.get("in_place"):
        return _replace_rows(job, tables, progress)
    row = restore_tables(backup=_readable(job), database=job.database, tables=tables, progress=progress, job=job)
    return Text(
        "{count} tables are beside the live ones in {target}; look for {place}.",
        count=len(tables),
        target=row.target,
        place=place(row, job.database),
    )


def _replace_rows(job: Job, tables: tuple[str, ...], progress: Progress) -> Text:
    row = replace_rows(
        backup=_readable(job),
        database=job.database,
        tables=tables,
        without_safety=job.params.get("without_safety", False),
        progress=progress,
        job=job,
    )
    _look_again(job.database)
    return Text(
        "The rows of {tables} in {target} are exactly the backup's.", tables=", ".join(tables), target=row.target
    )


def _backup(job: Job) -> Backup:
    backup = Backup.objects.select_related("database__application", "storage").get(pk=job.params["backup"])
    if chosen := job.params.get("from_storage"):
        backup.read_from = Storage.objects.get(pk=chosen)
    return backup


def _readable(job: Job) -> Backup:
    """Return the backup, once it is sure that it can be read: nothing else may be touched before."""
    backup = _backup(job)
    require_key(backup, offered=identities_of(job))
    return backup


def _with_missing(said: Text, backup: Backup, *, of: int) -> Text:
    waiting = backup.copies.filter(retry_at__isnull=False).order_by("retry_at").first()
    return Text(
        "{said} It is stored in {stored} of {all} storages; the others are tried again from {time} on.",
        said=said,
        stored=of - backup.missing_copies,
        all=of,
        time=_clock(waiting.retry_at) if waiting and waiting.retry_at else "–",
    )


def _look_again(database: Database) -> None:
    """Have what a backup has mended vanish at once, not at the next round of checks."""
    with contextlib.suppress(Refused):  # removed from the dashboard meanwhile
        enqueue(JobKind.HEALTH, database, actor=audit.SYSTEM)


def _storages(params: Mapping[str, Any]) -> list[Storage]:
    """Those asked for, in that order, without those that were removed since; the default one when none was named."""
    wanted = list(params.get("storages") or ([params["storage"]] if params.get("storage") else []))
    registered = {storage.pk: storage for storage in Storage.objects.registered().filter(pk__in=wanted)}
    found = [registered[pk] for pk in wanted if pk in registered]
    if not wanted and (default := Storage.default()):
        found = [default]
    if not found:
        raise Refused(Text("There is no storage to keep the backup in."), Text("Add a storage, or make one default."))
    return found


def _server(slug: str | None) -> Database | None:
    if not slug:
        return None
    database = Database.objects.registered().filter(slug=slug).first()
    if database is None:
        raise Refused(Text("There is no database called “{slug}”.", slug=slug), Text("Choose another server."))
    return database


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} KB"


def _clock(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M %Z}"

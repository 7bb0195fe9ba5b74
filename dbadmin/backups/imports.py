"""Bring a file that dbadmin did not make into a new database or file: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups import spool, uploads
from dbadmin.backups.places import require_listed
from dbadmin.backups.preflight import Item, Preflight, critical, ok
from dbadmin.choices import EngineName, ImportState
from dbadmin.engines.base import ReportLine
from dbadmin.engines.postgresql.imports import fitting_client, import_dump, require_server
from dbadmin.engines.recognise import SQL, Recognised, recognise
from dbadmin.engines.sqlite.imports import import_file as import_sqlite
from dbadmin.exceptions import DbadminError, Refused
from dbadmin.facts import Facts
from dbadmin.models import Database, Import, Job
from dbadmin.progress import Progress
from dbadmin.text import Text

IMPORTERS: Mapping[str, Callable[..., tuple[ReportLine, ...]]] = {
    EngineName.POSTGRESQL: import_dump,
    EngineName.SQLITE: import_sqlite,
}
# Working space as a multiple of the file: SQLite is unpacked, copied and compressed.
SPACE = {EngineName.POSTGRESQL: 1, EngineName.SQLITE: 3}


def receive(path: Path, *, file_name: str, uploaded: bool) -> Import:
    """Note a file that can be imported; ``ValidationFailed`` says why another cannot."""
    found = recognise(path)
    return Import.objects.create(
        file_name=Text("{name}", name=file_name).to_json()["params"]["name"][:255],
        path=str(path),
        uploaded=uploaded,
        size=uploads.size_of(path),
        engine=found.engine,
        form=found.form,
        description=found.sentence(),
    )


def new_target(row: Import, server: Database, name: str, *, anywhere: bool) -> Any:
    """Return where ``name`` would be made beside ``server``; ``Refused`` or ``ValidationFailed`` say why not."""
    if server.engine != row.engine:
        raise Refused(
            Text("“{name}” is of another kind than the file.", name=server.name), Text("Choose another database.")
        )
    engine = server.adapter
    target = engine.new_target(server.connection(), name)
    if not anywhere:
        require_listed(server.engine, target)
    if engine.exists(target):
        raise Refused(
            Text("“{name}” exists already.", name=name), Text("Choose a new name; an import never replaces anything.")
        )
    return target


def import_file(
    *, row: Import, server: Database, target_name: str, keep_owners: bool, progress: Progress, job: Job | None = None
) -> Import:
    """Make ``target_name`` beside ``server`` of the file, count what it holds, and return the row, which says imported.

    After any exception the row says failed and there is no target. An upload is removed in either case.
    """
    engine = server.adapter
    try:
        target = new_target(row, server, target_name, anywhere=True)
        _begin(row, server, target.address, job)
        with spool.spool(job) as folder:
            lines = _bring(row, target, folder, keep_owners=keep_owners, progress=progress, job=job)
        try:
            progress.phase(Text("Counting rows"))
            return _finish(row, lines, engine.facts(target, progress=progress), job)
        except BaseException:
            engine.discard(target)
            raise
    except BaseException as error:  # also when the worker is told to end
        _fail(row, error, job)
        raise
    finally:
        if row.uploaded:
            uploads.discard(Path(row.path))


def look_ahead(row: Import, server: Database, target_name: str, *, keep_owners: bool) -> Preflight:
    """Examine file, target, server and space. Never raises ``DbadminError``: what is wrong is an item."""
    return Preflight(items=tuple(_items(row, server, target_name, keep_owners)))


def discard_unfinished(job: Job) -> None:
    """Remove the half-made target and the upload of an import that died, and say in its row that it failed."""
    row = Import.objects.filter(
        pk=job.params.get("import"), state__in=(ImportState.WAITING, ImportState.RUNNING)
    ).first()
    if row is None:
        return
    if job.params.get("creating"):
        engine = job.database.adapter
        engine.discard(engine.new_target(job.database.connection(), job.params["target_name"]))
    if row.uploaded:
        uploads.discard(Path(row.path))
    _close(row, ImportState.FAILED)


def _begin(row: Import, server: Database, address: str, job: Job | None) -> None:
    row.server, row.target, row.job, row.state = server, address[:300], job, ImportState.RUNNING
    row.started_at = timezone.now()
    row.save()


def _bring(
    row: Import, target: Any, folder: Path, *, keep_owners: bool, progress: Progress, job: Job | None
) -> tuple[ReportLine, ...]:
    path = Path(row.path)
    found = _still(row)
    spool.require_space(row.size * SPACE[EngineName(row.engine)])
    if job is not None:
        job.note(creating=True)
    progress.check()
    return IMPORTERS[row.engine](target, path, found, spool=folder, keep_owners=keep_owners, progress=progress)


def _still(row: Import) -> Recognised:
    """A found file may have been exchanged since somebody looked at it."""
    found = recognise(Path(row.path))
    if (found.engine, found.form) != (row.engine, row.form):
        raise Refused(
            Text("“{name}” is no longer the file that was chosen.", name=row.file_name), Text("Choose it again.")
        )
    return found


def _items(row: Import, server: Database, target_name: str, keep_owners: bool) -> Iterator[Item]:
    def target_is_free() -> Item:
        target = new_target(row, server, target_name, anywhere=False)
        return ok(Text("{address} is free and will be new.", address=target.address))

    def server_fits() -> Item:
        server.adapter.probe(server.connection()).require()
        if row.engine != EngineName.POSTGRESQL:
            return ok(Text("Reachable; no other program is needed."))
        found, connection = _still(row), server.adapter.new_target(server.connection(), target_name)
        require_server(connection, found)
        if row.form == SQL:
            return ok(Text("Its statements run in one transaction; the first error ends it and leaves nothing."))
        client = fitting_client(connection, found.client_version)
        return ok(Text("pg_restore {client} fits the file and the server.", client=client.version))

    def space() -> Item:
        spool.require_space(row.size * SPACE[EngineName(row.engine)])
        return ok(Text("There is room for unpacking; it stops before the disk is full."))

    def rights() -> Item:
        user = server.settings.get("user") or "dbadmin"
        owners = (
            Text("Owners and grants are taken over; their roles have to exist.")
            if keep_owners
            else Text("Everything will belong to “{user}”; owners and grants are left out.", user=user)
        )
        return Item(name=Text(""), verdict=ok(owners).verdict, message=owners, hint=_trust(user))

    yield _judged(Text("File"), lambda: ok(_still(row).sentence()))
    yield _judged(Text("Target"), target_is_free)
    yield _judged(Text("Server and tools"), server_fits)
    yield _judged(Text("Working space"), space)
    if row.engine == EngineName.POSTGRESQL:
        yield _judged(Text("Rights"), rights)


def _trust(user: str) -> Text:
    return Text("The file runs on the server with all rights of “{user}”: import only files that you trust.", user=user)


def _judged(name: Text, look: Callable[[], Item]) -> Item:
    try:
        found = look()
    except DbadminError as error:
        found = critical(error.message, error.hint)
    return Item(name=name, verdict=found.verdict, message=found.message, hint=found.hint)


def _finish(row: Import, lines: tuple[ReportLine, ...], facts: Facts, job: Job | None) -> Import:
    row.lines, row.facts = [line.to_json() for line in lines], facts.without_names().to_json()
    with transaction.atomic():
        if job is not None:
            job.require_held()
        _close(row, ImportState.IMPORTED)
        audit.record(audit.from_job(job), "import.complete", row, tables=len(facts.tables), rows=facts.rows)
    return row


def _fail(row: Import, error: BaseException, job: Job | None) -> None:
    message = error.told if isinstance(error, DbadminError) else type(error).__name__
    row.lines = [*row.lines, ReportLine(level="error", object="", message=message).to_json()]
    row.job = job
    with transaction.atomic():
        _close(row, ImportState.FAILED)
        audit.record(audit.from_job(job), "import.failed", row)


def _close(row: Import, state: ImportState) -> None:
    row.state, row.finished_at = state, timezone.now()
    row.save()

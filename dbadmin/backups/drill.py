"""Prove a backup: restore it into a throw-away place, compare everything, leave nothing behind."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.manifest import Manifest
from dbadmin.backups.assertions import ask
from dbadmin.backups.drill_places import is_own, lent_place, remove_scratch, require_place
from dbadmin.backups.reading import unpack
from dbadmin.backups.restore import comparable
from dbadmin.backups.spool import spool
from dbadmin.beside import beside
from dbadmin.choices import DrillKind, DrillState, Verdict
from dbadmin.engines.base import DATA, SCHEMA, Engine, Examination, ReportLine, RestoreOptions
from dbadmin.exceptions import DbadminError, Refused
from dbadmin.facts import Difference, Facts
from dbadmin.models import Backup, Database, Drill, Job
from dbadmin.progress import Progress
from dbadmin.text import Text

SAMPLED = 10
NAMED = 10


def drill_backup(
    *,
    backup: Backup,
    kind: str = DrillKind.FULL,
    tables: Iterable[str] = (),
    server: Database | None = None,
    progress: Progress,
    job: Job | None = None,
) -> Drill:
    """Restore ``backup`` where nobody sees it, compare, and return the row: proven or different.

    A full drill that finds everything equal sets the backup's ``proven_at``; one that finds a difference takes it
    away. A partial one restores ``tables``, or some that are chosen by chance, and proves these only. The place is a
    throw-away one on this machine, or a throw-away database on the server of the registered ``server``. After any
    exception the row says failed and why, and nothing is left of the place, see ``lent_place``.
    """
    if backup.scope == DATA:
        raise Refused(
            Text("A backup of the data alone has no tables to restore into."), Text("Drill a full backup instead.")
        )
    chosen = _chosen(backup, kind, tuple(tables))
    row = Drill.objects.create(backup=backup, job=job, kind=kind, tables=list(chosen), started_at=timezone.now())
    drilling = _Drilling(row=row, engine=backup.database.adapter, server=server, progress=progress, job=job)
    try:
        with spool(job) as folder:
            drilling.run(folder)
        return _finish(row, drilling, job)
    except BaseException as error:  # also when the worker is told to end
        _fail(row, drilling, error, job)
        raise


def discard_unfinished(job: Job) -> None:
    """Say of the drill of a job that died that it failed; its place went with the spool, or goes now."""
    for row in Drill.objects.filter(job=job, state=DrillState.RUNNING):
        row.checks = [_check(Text("Drill"), Verdict.UNKNOWN, Text("The worker that did this drill has died."))]
        _close(row, DrillState.FAILED)
    remove_scratch(job)


@dataclass(kw_only=True)
class _Drilling:
    """One drill on its way; what it has found so far survives its failure."""

    row: Drill
    engine: Engine
    server: Database | None
    progress: Progress
    job: Job | None
    restore_seconds: float | None = None
    uncounted: int = 0
    is_read: bool = True
    differences: list[Difference] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)

    def run(self, folder: Path) -> None:
        if self.server is not None:
            require_place(self.backup, self.server)
        begun = time.monotonic()
        archive = folder / "archive"
        archive.mkdir()
        manifest = self._unpack(archive)
        unpacked = time.monotonic() - begun
        with self._scratch(folder, archive, manifest) as target:
            self.row.place = str(target.address)[:300]
            self.row.save(update_fields=["place"])
            begun = time.monotonic()
            lines = self._restore(target, archive, manifest)
            self.restore_seconds = round(unpacked + time.monotonic() - begun, 2)
            self._compare_facts(target, manifest, lines)
            self._ask_assertions(target, manifest)
            self._look_inside(target, archive, manifest)

    @property
    def backup(self) -> Backup:
        return self.row.backup

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(self.row.tables)

    def _scratch(self, folder: Path, archive: Path, manifest: Manifest) -> AbstractContextManager[Any]:
        if self.server is None:
            return self.engine.scratch(
                origin=manifest.origin, client_version=manifest.client_version, spool=folder, progress=self.progress
            )
        self._note_place(self.server, manifest)
        return lent_place(
            server=self.server, row=self.row, archive=archive, manifest=manifest, progress=self.progress, job=self.job
        )

    def _note_place(self, server: Database, manifest: Manifest) -> None:
        size = int(manifest.origin.get("size_bytes") or 0) // 1_000_000 + 1
        sentence = Text("How much is free there cannot be seen from here; about {size} MB are needed.", size=size)
        self._note(Text("Space at the chosen server"), Verdict.SKIPPED, sentence)
        if is_own(self.backup, server):
            own = Text("It is the server of the database itself: the drill costs it load and disk.")
            self._note(Text("Chosen server"), Verdict.WARNING, own)
            self.progress.log(own, level="warning")

    def _unpack(self, archive: Path) -> Manifest:
        manifest = unpack(self.backup, archive, self.progress)
        self._note(Text("Archive"), Verdict.OK, Text("Every byte is as it was stored."))
        if self.row.kind == DrillKind.PARTIAL and not self.tables:
            self.row.tables = _sample(manifest.facts)
        return manifest

    def _restore(self, target: Any, archive: Path, manifest: Manifest) -> tuple[ReportLine, ...]:
        self.progress.check()
        common: dict[str, Any] = {
            "spool": archive, "origin": manifest.origin, "client_version": manifest.client_version,
            "progress": self.progress,
        }  # fmt: skip
        if self.tables:
            return self.engine.restore_some(target, tables=self.tables, **common)
        return self.engine.restore(target, scope=manifest.scope, options=RestoreOptions(statistics=False), **common)

    def _compare_facts(self, target: Any, manifest: Manifest, lines: tuple[ReportLine, ...]) -> None:
        self.progress.phase(Text("Comparing with the backup"))
        expected = manifest.facts
        found = self.engine.facts(target, progress=self.progress, measuring=expected.measuring)
        if self.tables:
            expected, found = (facts.only(self.tables) for facts in (expected, found))
        elif manifest.scope == SCHEMA:
            expected, found = (comparable(each, SCHEMA) for each in (expected, found))
        self.differences += expected.differences(found)
        self.differences += [
            Difference(subject=line.object or "–", expected="–", found=str(line.message))
            for line in lines
            if line.level == "error"
        ]
        for line in expected.made_anew(found)[:NAMED]:
            self._note(Text("Materialised views"), Verdict.WARNING, line)
        self.uncounted = len(expected.uncounted)
        self._said(Text("Rows, sequences and schema"), len(self.differences), _equal(expected))
        for line in expected.unmeasured[:NAMED]:
            self._note(Text("Not measured"), Verdict.UNKNOWN, line)
        if (more := len(expected.missing) - NAMED) > 0:
            self._note(Text("Not measured"), Verdict.UNKNOWN, Text("And {count} tables more.", count=more))

    def _compare_content(self, target: Any, archive: Path, manifest: Manifest) -> None:
        name = Text("Content, byte by byte")
        if manifest.scope == SCHEMA:
            return
        found = self.engine.content_of_copy(
            target, archive=archive, origin=manifest.origin, tables=self.tables, progress=self.progress
        )
        if found is None:
            self.is_read = False
            reason = Text("The backup is of an earlier version of dbadmin, which did not note how rows were written.")
            self._note(name, Verdict.SKIPPED, reason)
            return
        expected = self.engine.content(spool=archive, progress=self.progress)
        if self.tables and len(found) < len(expected):
            expected = {table: digest for table, digest in expected.items() if table in self.tables}
        self._contents(name, expected, found)

    def _contents(self, name: Text, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
        different = [key for key in sorted(expected.keys() | found.keys()) if expected.get(key) != found.get(key)]
        self.differences += [
            Difference(subject=key, expected=_digest(expected, key), found=_digest(found, key)) for key in different
        ]
        equal = Text("{count} of {count} are equal to the last byte.", count=len(expected))
        self._said(name, len(different), equal)

    def _ask_assertions(self, target: Any, manifest: Manifest) -> None:
        if self.tables:
            return
        for assertion in self.backup.database.assertions.all():
            self.progress.check()
            verdict, message = ask(assertion, self.engine, self.engine.reader(target), moment=manifest.started_at)
            self._note(Text("Assertion “{name}”", name=assertion.name), verdict, message)

    def _look_inside(self, target: Any, archive: Path, manifest: Manifest) -> None:
        """Read all and look for damage, both at once where the place is ours; a chosen server has other work, too."""
        if self.server is not None:
            self._compare_content(target, archive, manifest)
            self.progress.check()
            self._note_examinations(self.engine.examine(target, progress=self.progress))
            return
        with beside(lambda quiet: self.engine.examine(target, progress=quiet)) as examining:
            self._compare_content(target, archive, manifest)
            self.progress.phase(Text("Looking for damage inside the copy"))
            self._note_examinations(examining.result(self.progress))

    def _note_examinations(self, found: Iterable[Examination]) -> None:
        for each in found:
            self._note(each.name, Verdict(each.verdict), each.message)

    def _said(self, name: Text, differences: int, otherwise: Text) -> None:
        if differences:
            self._note(name, Verdict.CRITICAL, Text("Differences: {count}.", count=differences))
        else:
            self._note(name, Verdict.OK, otherwise)

    def _note(self, name: Text, verdict: Verdict, message: Text) -> None:
        self.checks.append(_check(name, verdict, message))

    @property
    def state(self) -> DrillState:
        """Proven when nothing differs, all rows were counted and read, and no check found damage.

        A check that could not be made is said, and hides nothing.
        """
        if self.differences or any(check["verdict"] == Verdict.CRITICAL for check in self.checks):
            return DrillState.DIFFERENT
        return DrillState.INCOMPLETE if self.uncounted or not self.is_read else DrillState.PROVEN


def _chosen(backup: Backup, kind: str, tables: tuple[str, ...]) -> tuple[str, ...]:
    known = backup.measured().tables
    if kind != DrillKind.PARTIAL:
        if tables:
            raise Refused(Text("A full drill takes every table."), Text("Choose a partial drill to name tables."))
        return ()
    if unknown := sorted(set(tables) - known.keys()):
        raise Refused(
            Text("The backup has no table {names}.", names=", ".join(unknown)),
            Text("Write the names as the backup's page lists them."),
        )
    if not known or backup.scope == SCHEMA:
        raise _nothing_in_part()
    return tables


def _sample(facts: Facts) -> list[str]:
    """Choose some by chance. Materialised views are counted like tables, but a dump has no rows of them."""
    known = sorted(facts.tables.keys() - set(facts.names.get("materialized_views", ())))
    if not known:
        raise _nothing_in_part()
    return random.sample(known, min(SAMPLED, len(known)))


def _nothing_in_part() -> Refused:
    return Refused(Text("The backup holds no rows to drill in part."), Text("Choose a full drill."))


def _equal(expected: Facts) -> Text:
    if expected.uncounted:
        return Text("What was measured is as it was backed up; the rows of {count} tables were not.",
                    count=len(expected.uncounted))  # fmt: skip
    if expected.hashes:
        return Text("All are as they were backed up, the rows of {count} tables by their hashes too.",
                    count=len(expected.hashes))  # fmt: skip
    return Text("All are as they were backed up.")


def _digest(hashes: Mapping[str, str], name: str) -> str:
    return f"SHA-256 {hashes[name][:12]}" if name in hashes else "–"


def _check(name: Text, verdict: Verdict, message: Text) -> dict[str, Any]:
    return {"name": name.to_json(), "verdict": verdict.value, "message": message.to_json()}


def _finish(row: Drill, drilling: _Drilling, job: Job | None) -> Drill:
    with transaction.atomic():
        if job is not None:
            job.require_held()
        _take_over(row, drilling)
        _close(row, drilling.state)
        if row.state == DrillState.DIFFERENT or row.kind == DrillKind.FULL:
            proven_at = row.finished_at if row.state == DrillState.PROVEN else None
            now = row.finished_at
            Backup.objects.filter(pk=row.backup_id).update(proven_at=proven_at, verified_at=now)
        audit.record(audit.from_job(job), "drill.complete", row, state=str(row.state), differences=len(row.differences))
    return row


def _fail(row: Drill, drilling: _Drilling, error: BaseException, job: Job | None) -> None:
    message = error.message if isinstance(error, DbadminError) else Text("It was interrupted.")
    drilling.checks.append(_check(Text("Drill"), Verdict.CRITICAL, message))
    with transaction.atomic():
        _take_over(row, drilling)
        _close(row, DrillState.FAILED)
        audit.record(audit.from_job(job), "drill.failed", row)


def _take_over(row: Drill, drilling: _Drilling) -> None:
    row.restore_seconds = drilling.restore_seconds
    row.differences = [asdict(difference) for difference in drilling.differences]
    row.checks = drilling.checks


def _close(row: Drill, state: DrillState) -> None:
    row.state, row.finished_at = state, timezone.now()
    row.save()

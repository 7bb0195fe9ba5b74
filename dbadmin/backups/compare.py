"""Say how a backup differs from the live database, or from another backup of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups.reading import require_stored, unpack
from dbadmin.backups.spool import spool
from dbadmin.choices import ComparisonState
from dbadmin.engines.base import DATA, FULL, SCHEMA
from dbadmin.engines.comparing import ADDED, CHANGED, REMOVED, Changes, Compared
from dbadmin.exceptions import Refused
from dbadmin.facts import Facts
from dbadmin.models import Backup, Comparison, Database, Job
from dbadmin.progress import Progress
from dbadmin.text import Text

# More are counted, and not listed.
MOST_LISTED = 1000
SAME, UNKNOWN = "same", "unknown"


def compare_backup(
    *, backup: Backup, other: Backup | None, content: bool, progress: Progress, job: Job | None = None
) -> Comparison:
    """Compare ``backup`` with ``other``, or with the live database, and return the row that says how they differ.

    ``content``: every row, for which the live database is dumped like for a backup; otherwise counts and schema.
    Nothing is equal that was not compared: then the state is incomplete.
    """
    require_comparable(backup, other)
    started = timezone.now()
    with spool(job) as folder:
        left = _unpacked(backup, folder / "left", progress)
        right = (
            _unpacked(other, folder / "right", progress)
            if other
            else _dumped(backup, folder / "right", content=content, progress=progress)
        )
        has_rows = content and SCHEMA not in (left.scope, right.scope)
        engine = backup.database.adapter
        found = _Findings(left, right, has_rows, _compared(engine, left, right, content=has_rows, progress=progress))
    return _store(backup, other, found, started, content=content, job=job)


def require_comparable(backup: Backup, other: Backup | None) -> None:
    """Refuse what cannot be compared."""
    for each in (backup, other):
        if each is not None:
            require_stored(each)
    if other is None:
        return
    if other.pk == backup.pk:
        raise Refused(Text("A backup is equal to itself."), Text("Choose another backup."))
    if other.database_id != backup.database_id:
        raise Refused(
            Text("The two backups are of different databases."), Text("Choose another backup of the same database.")
        )


def quick_look(backup: Backup, other: Backup) -> tuple[dict[str, Any], ...]:
    """Compare what was measured when the two were taken, at once and without reading an archive: what differs."""
    left, right = _recorded(backup), _recorded(other)
    rows = [row for row in _tables(left, right, {}) if row["state"] != SAME]
    return (*rows, *_counts(left, right, "sequences"), *_counts(left, right, "objects"))


@dataclass(frozen=True, kw_only=True)
class _Side:
    facts: Facts
    scope: str
    folder: Path = Path()
    client_version: str = ""


@dataclass(frozen=True)
class _Findings:
    """Everything that was found, as it is stored."""

    left: _Side
    right: _Side
    has_rows: bool
    compared: Compared

    def document(self) -> dict[str, Any]:
        tables = _tables(self.left, self.right, self.compared.tables if self.has_rows else {})
        differing = [row for row in tables if row["state"] != SAME]
        objects = [asdict(change) for change in self.compared.objects]
        return {
            "tables": (differing + [row for row in tables if row["state"] == SAME])[:MOST_LISTED],
            "table_count": len(tables),
            "differing": len(differing),
            "schema": objects[:MOST_LISTED],
            "schema_count": len(objects),
            "sequences": _counts(self.left, self.right, "sequences")[:MOST_LISTED],
            "objects": _counts(self.left, self.right, "objects"),
            "heads": _heads(self.left.facts, self.right.facts),
            "fingerprints": [self.left.facts.schema_fingerprint, self.right.facts.schema_fingerprint],
            "content": self.has_rows,
            "remarks": [remark.to_json() for remark in self.remarks()],
        }

    def remarks(self) -> list[Text]:
        said = list(self.compared.remarks)
        if DATA in (self.left.scope, self.right.scope):
            said.append(Text("A backup of the data alone has no schema; that was not compared."))
        if not self.has_rows and not self.is_hashed:
            said.append(Text("The content of the rows was not compared."))
        unmeasured = {str(line): line for side in (self.left, self.right) for line in side.facts.unmeasured}
        said += list(unmeasured.values())[:MOST_LISTED]
        if self.versions_differ:
            said.append(Text("Written by different versions of pg_dump; a definition may only be worded otherwise."))
        return said

    @property
    def is_hashed(self) -> bool:
        """Whether the facts of both sides tell of every row."""
        return all(side.facts.hashes and side.facts.hashes.keys() >= side.facts.tables.keys()
                   for side in (self.left, self.right))  # fmt: skip

    @property
    def versions_differ(self) -> bool:
        majors = {side.client_version.partition(".")[0] for side in (self.left, self.right)}
        return len(majors) > 1 and any(change.state == CHANGED for change in self.compared.objects)

    def state(self, document: Mapping[str, Any]) -> ComparisonState:
        fingerprints = set(filter(None, document["fingerprints"]))
        if any(row["state"] not in (SAME, UNKNOWN) for row in document["tables"]) or any(
            document[part] for part in ("schema", "sequences", "objects", "heads")
        ):
            return ComparisonState.DIFFERENT
        if len(fingerprints) > 1 and DATA not in (self.left.scope, self.right.scope):
            return ComparisonState.DIFFERENT
        is_whole = not document["differing"] and not document["remarks"]
        return ComparisonState.EQUAL if is_whole else ComparisonState.INCOMPLETE


def _compared(engine: Any, left: _Side, right: _Side, *, content: bool, progress: Progress) -> Compared:
    found: Compared = engine.compare(left=left.folder, right=right.folder, content=content, progress=progress)
    return found


def _recorded(backup: Backup) -> _Side:
    return _Side(facts=backup.measured(), scope=backup.scope)


def _unpacked(backup: Backup, folder: Path, progress: Progress) -> _Side:
    manifest = unpack(backup, folder, progress)
    return _Side(facts=manifest.facts, scope=manifest.scope, folder=folder, client_version=manifest.client_version)


def _dumped(backup: Backup, folder: Path, *, content: bool, progress: Progress) -> _Side:
    """Dump the live database, as much of it as is compared; counts without a dump of the rows are measured."""
    folder.mkdir()
    database: Database = backup.database
    engine, connection = database.adapter, database.connection()
    scope = backup.scope if content or SCHEMA not in engine.scopes else SCHEMA
    dump = engine.dump(connection, scope=scope, spool=folder, progress=progress)
    facts = dump.facts
    if scope == SCHEMA and backup.scope != SCHEMA:
        facts = engine.facts(connection, progress=progress, measuring=backup.measured().measuring)
        scope = FULL
    return _Side(facts=facts, scope=scope, folder=folder, client_version=dump.client_version)


def _tables(left: _Side, right: _Side, changes: Mapping[str, Changes]) -> list[dict[str, Any]]:
    """One row for each table of either side; ``left`` and ``right`` are its rows, None where it is not."""
    counted = SCHEMA not in (left.scope, right.scope)
    mine, theirs = left.facts, right.facts
    names = sorted(mine.tables.keys() | theirs.tables.keys() | changes.keys())
    return [_table(name, mine, theirs, changes.get(name), counted=counted) for name in names]


def _table(name: str, mine: Facts, theirs: Facts, changes: Changes | None, *, counted: bool) -> dict[str, Any]:
    left, right = mine.tables.get(name), theirs.tables.get(name)
    otherwise = (counted and left != right) or mine.checksums.get(name) != theirs.checksums.get(name)
    otherwise = otherwise or (
        name in mine.hashes and name in theirs.hashes and mine.hashes[name] != theirs.hashes[name]
    )
    if name in mine.uncounted or name in theirs.uncounted:
        state = CHANGED if changes and changes.total else UNKNOWN
    elif (left is None) != (right is None):
        state = ADDED if left is None else REMOVED
    elif otherwise or (changes and changes.total):
        state = CHANGED
    else:
        state = UNKNOWN if changes and changes.unknown else SAME
    return {
        "name": name,
        "state": state,
        "left": left if counted else None,
        "right": right if counted else None,
        "changes": changes.to_json() if changes else None,
    }


def _counts(left: _Side, right: _Side, group: str) -> list[dict[str, Any]]:
    """What differs of the sequences or of the numbers of objects."""
    if group == "sequences" and SCHEMA in (left.scope, right.scope):
        return []
    mine: Mapping[str, Any] = getattr(left.facts, group)
    theirs: Mapping[str, Any] = getattr(right.facts, group)
    return [
        {"name": name, "state": CHANGED, "left": mine.get(name), "right": theirs.get(name)}
        for name in sorted(mine.keys() | theirs.keys())
        if mine.get(name) != theirs.get(name) or (name in mine) != (name in theirs)
    ]


def _heads(mine: Facts, theirs: Facts) -> list[dict[str, Any]]:
    tools = sorted(mine.schema_head.keys() | theirs.schema_head.keys())
    both = [(tool, mine.schema_head.get(tool, []), theirs.schema_head.get(tool, [])) for tool in tools]
    return [
        {"name": tool, "left": ", ".join(left), "right": ", ".join(right)}
        for tool, left, right in both
        if list(left) != list(right)
    ]


def _store(
    backup: Backup, other: Backup | None, found: _Findings, started: datetime, *, content: bool, job: Job | None
) -> Comparison:
    document = found.document()
    with transaction.atomic():
        if job is not None:
            job.require_held()
        row = Comparison.objects.create(
            left=backup,
            right=other,
            job=job,
            state=found.state(document),
            content=content and found.has_rows,
            started_at=started,
            finished_at=timezone.now(),
            result=document,
        )
        audit.record(audit.from_job(job), "backup.compared", row, state=str(row.state))
    return row

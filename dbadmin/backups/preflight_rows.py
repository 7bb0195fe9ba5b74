"""Look at everything that replacing the rows of tables, or single files, depends on and touches. Changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dbadmin.backups.preflight import Item, Looking, Preflight, ok
from dbadmin.backups.reading import unpack
from dbadmin.backups.rows import in_place, look_at_dependants
from dbadmin.backups.spool import spool
from dbadmin.backups.tables import require_tables
from dbadmin.choices import EngineName, Verdict
from dbadmin.engines.comparing import Changes
from dbadmin.engines.files.compare import compare_files
from dbadmin.engines.files.restore import MEMBERS
from dbadmin.exceptions import Refused
from dbadmin.models import Backup, Database
from dbadmin.progress import Silent
from dbadmin.text import Text

LARGEST_SET = 64 * 1024 * 1024
SHOWN = 10


def look_ahead_of_rows(*, backup: Backup, database: Database, names: tuple[str, ...]) -> Preflight:
    """Examine the archive, the tools, and what else the tables or files called ``names`` concern. Never raises."""
    looking = _Looking(backup=backup, beside=database, target_name="", keep_owners=True, names=names)
    items = tuple(looking.items())
    return Preflight(items=items, address=looking.address)


def differences_of_files(backup: Backup, database: Database, names: tuple[str, ...]) -> dict[str, Changes | None]:
    """Say of each file how the backup's differs from the one that is there; None where there is none now.

    ``Refused`` for a backup that is too large to be unpacked while somebody waits.
    """
    if backup.size > LARGEST_SET:
        raise Refused(
            Text("The backup is too large to be compared while you wait."),
            Text("Compare it with what is there now from the page of the backup."),
        )
    root: Path = database.connection().root
    with spool() as folder:
        unpack(backup, folder, Silent())
        there = [name for name in names if (root / name).is_file()]
        for side, source in (("now", root), ("then", folder / MEMBERS)):
            for name in there:
                (folder / side / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, folder / side / name)
        found = compare_files(folder / "now", folder / "then", Silent()).tables
    return {name: found.get(name) for name in names}


@dataclass(kw_only=True)
class _Looking(Looking):
    names: tuple[str, ...]

    def items(self) -> Iterator[Item]:
        """The archive first, what else is touched last."""
        yield self.judged(Text("Archive"), self.archive)
        yield self.judged(Text("Proof"), self.proof)
        yield self.judged(Text("Server and tools"), self.tools)
        yield self.judged(Text("Working space"), self.working_space)
        yield self.judged(Text("Target"), self.chosen)
        if self.target is not None and self.beside.engine != EngineName.FILES:
            yield self.judged(Text("Foreign keys of other tables"), self.references)
            yield self.judged(Text("Views"), self.views)
            yield self.judged(Text("Triggers"), self.triggers)
            yield self.judged(Text("Definitions"), self.definitions)

    def chosen(self) -> Item:
        """They have to be in both, and ours to change."""
        require_tables(self.backup, self.beside, self.names)
        in_place(self.beside, self.names, keep_hours=1)
        self.target = self.beside.connection()
        names = ", ".join(self.names)
        if self.beside.engine == EngineName.FILES:
            return ok(Text("{names}: replaced one by one, and kept aside. Other files are left alone.", names=names))
        return ok(
            Text(
                "The rows of {names} are replaced in one transaction; while it lasts others wait for them.", names=names
            )
        )

    def references(self) -> Item:
        """They are checked before the end."""
        found = look_at_dependants(self.beside, self.names).foreign_keys
        if not found:
            return ok(Text("None leads to these tables."))
        return _warning(
            Text("These lead to the chosen tables: {names}.", names=_listed(found)),
            Text("When a row would point nowhere afterwards, nothing is changed. Choose those tables as well."),
        )

    def views(self) -> Item:
        """Those that store rows have to be refreshed."""
        found = look_at_dependants(self.beside, self.names)
        if found.stale:
            return _warning(
                Text("These keep what they hold: {names}.", names=_listed(found.stale)),
                Text("Refresh them afterwards."),
            )
        if found.views:
            return ok(Text("These will show the rows of the backup: {names}.", names=_listed(found.views)))
        return ok(Text("None shows these tables."))

    def triggers(self) -> Item:
        """They do not fire: the rows become what they were."""
        if found := look_at_dependants(self.beside, self.names).triggers:
            return _warning(
                Text("These will not fire: {names}.", names=_listed(found)),
                Text("Choose the tables that they write to as well, or bring those up to date by hand."),
            )
        return ok(Text("None."))

    def definitions(self) -> Item:
        """Columns are compared again before the first row is touched."""
        now = look_at_dependants(self.beside, self.names).schema_fingerprint
        if now == self.backup.measured().schema_fingerprint:
            return ok(Text("The schema is what it was at the backup."))
        return _warning(
            Text("The schema has changed since the backup."),
            Text("When columns of these tables differ, nothing is changed."),
        )


def _warning(message: Text, hint: Text) -> Item:
    return Item(name=Text(""), verdict=Verdict.WARNING, message=message, hint=hint)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")

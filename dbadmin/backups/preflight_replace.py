"""Look at everything that replacing a database depends on, and at what would be lost. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dbadmin.backups.contents import must_be_in_place
from dbadmin.backups.preflight import Item, Looking, Preflight, ok
from dbadmin.backups.replace import require_replaceable
from dbadmin.choices import EngineName, RestoreState, Verdict
from dbadmin.engines.postgresql import replace as postgresql
from dbadmin.models import Backup, Database, Drill, Restore
from dbadmin.text import Text

SHOWN = 10


def look_ahead_of_replacing(*, backup: Backup, database: Database, keep_owners: bool) -> Preflight:
    """Examine the archive, the tools, the space, and the database that would be replaced. Never raises."""
    looking = _Looking(backup=backup, beside=database, target_name="", keep_owners=keep_owners)
    items = tuple(looking.items())
    return Preflight(items=items, address=looking.address)


@dataclass(kw_only=True)
class _Looking(Looking):
    def items(self) -> Iterator[Item]:
        """The archive first, what would be lost last."""
        yield self.judged(Text("Archive"), self.archive)
        yield self.judged(Text("Proof"), self.proof)
        yield self.judged(Text("Target"), self.replaceable)
        yield self.judged(Text("Server and tools"), self.tools)
        yield self.judged(Text("Working space"), self.working_space)
        if self.target is None:
            return
        yield self.judged(Text("Space at the target"), self.target_space)
        if self.backup.database.engine == EngineName.POSTGRESQL:
            yield self.judged(Text("Roles and extensions"), self.roles)
            yield self.judged(Text("Open connections"), self.sessions)
        yield self.judged(Text("What would be lost"), self.vanishing)
        yield self.judged(Text("Migrations since the backup"), self.migrations)
        yield self.judged(Text("Expected duration"), self.duration)

    def replaceable(self) -> Item:
        """The database has to be there, and to be ours to replace."""
        require_replaceable(self.backup, self.beside)
        engine, current = self.beside.adapter, self.beside.connection()
        if must_be_in_place(self.beside):
            self.target = current
            return _warning(
                Text("{user} may not create databases, so {address} is replaced inside, in one transaction.",
                     user=current.user, address=self.address),
                Text("Whoever uses it waits until the end. Nothing is kept beside: the way back is the safety backup. "
                     "For a short switch and an undo, as a superuser: ALTER ROLE {user} CREATEDB;", user=current.user),
            )  # fmt: skip
        names = {name: engine.beside_name(current, f"__{name}_0") for name in ("candidate", "kept")}
        engine.intend(current, **names)
        self.target = current
        return ok(Text("{address} is replaced when the copy has proven equal; it is kept aside.", address=self.address))

    def sessions(self) -> Item:
        """Who is connected will have to connect anew."""
        who = postgresql.open_sessions(self.target)
        if not who:
            return ok(Text("Nobody is connected now."))
        listed = ", ".join(f"{application} ({role})" for application, role in who)
        return _warning(
            Text("Connected now: {who}.", who=listed),
            Text("Their sessions are ended at the switch; whoever connects again sees the restored database."),
        )

    def vanishing(self) -> Item:
        """What is there now and not in the backup."""
        held = self.backup.measured().tables.keys()
        lost = sorted(self._names() - held)
        if not lost:
            return ok(Text("Everything that exists now is in the backup, too, as it was then."))
        shown = ", ".join(lost[:SHOWN]) + (", …" if len(lost) > SHOWN else "")
        return _warning(
            Text("{count} things that exist now are not in the backup: {names}.", count=len(lost), names=shown),
            Text("They vanish. The safety backup and the way back keep them."),
        )

    def migrations(self) -> Item:
        """An application may need the schema that it has migrated to."""
        then = {tool: sorted(heads) for tool, heads in self.backup.measured().schema_head.items()}
        now = {tool.tool: sorted(tool.heads) for tool in self.beside.adapter.history(self.target)}
        if then == now:
            return ok(Text("None; the schema is at the same version."))
        return _warning(
            Text("The database is at {now}, the backup at {then}.", now=_shown(now), then=_shown(then)),
            Text("Run the application's migrations afterwards, or go back to the version of it that fits."),
        )

    def duration(self) -> Item:
        """Measured, not guessed."""
        drilled = Drill.objects.filter(backup__database=self.backup.database, restore_seconds__isnull=False).first()
        if drilled is not None:
            return ok(
                Text("The last drill took {seconds} s to restore it.", seconds=_seconds(drilled.restore_seconds or 0))
            )
        done = Restore.objects.filter(backup__database=self.backup.database, state=RestoreState.EXACT).first()
        if done is not None and done.finished_at is not None:
            seconds = _seconds((done.finished_at - done.started_at).total_seconds())
            return ok(Text("The last restore took {seconds} s.", seconds=seconds))
        return Item(
            name=Text(""),
            verdict=Verdict.UNKNOWN,
            message=Text("Nothing was restored of it yet."),
            hint=Text("Start a drill to measure it."),
        )

    def _names(self) -> set[str]:
        engine = self.beside.adapter
        if self.beside.engine == EngineName.POSTGRESQL:
            return set(postgresql.contents(self.target))
        if self.beside.engine == EngineName.SQLITE:
            sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')"
            return {name for (name,) in engine.rows(self.target, sql) if not name.startswith("sqlite_")}
        return {file["path"] for file in engine.snapshot(self.target).values["files"]}


def _warning(message: Text, hint: Text) -> Item:
    return Item(name=Text(""), verdict=Verdict.WARNING, message=message, hint=hint)


def _shown(heads: dict[str, list[str]]) -> str:
    return ", ".join(f"{tool} {' '.join(found)}" for tool, found in sorted(heads.items())) or "–"


def _seconds(measured: float) -> float:
    """Return whole seconds, or tenths of what is over in a moment."""
    return round(measured, 1 if measured < 10 else None)

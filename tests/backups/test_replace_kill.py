"""kill -9 at every boundary of replacing and of undoing: the target is always one of the two exact states."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest
from django.utils import timezone

from dbadmin.backups.take import take_backup
from dbadmin.backups.undo import forget_ways_back, undo_restore
from dbadmin.choices import JobKind, RestoreState
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.jobs.reaper import reap
from dbadmin.models import Backup, Database, Restore, Storage
from dbadmin.progress import Silent
from tests.backups.files import below, spools
from tests.factories import make_database, make_storage
from tests.jobs.forked import forked
from tests.postgresql_database import execute
from tests.postgresql_database import postgresql as postgresql
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db(transaction=True)
OPEN_OR_OURS = "SELECT datname FROM pg_database WHERE datallowconn OR datname LIKE '%\\_\\_%'"
KILLED, NEVER = -9, 0


@dataclass(frozen=True)
class Target:
    """A database that was backed up and has changed since: its backup, what it holds, and what lies beside it."""

    database: Database
    backup: Backup
    content: Callable[[], Any]
    names: Callable[[], set[str]]
    old: Any
    new: Any

    @property
    def own(self) -> str:
        return str(self.database.connection().address.rpartition("/")[2])

    def run(self, kind: JobKind, steps: int, **params: Any) -> int:
        """Work in another process that dies after some steps, and have its job reaped."""
        code, became = forked().run("tests.backups.killed:work", kind, self.database.slug, params, steps)
        assert code == KILLED or became.startswith("succeeded"), became
        assert len(reap(timezone.now())) == (code == KILLED)
        return code


def both(target: Target) -> None:
    replaced = replace_until_it_survives(target)
    assert replaced[0] == RestoreState.FAILED
    assert replaced.count(RestoreState.EXACT) > 1  # killed after the switch, and not killed
    undone = undo_until_it_survives(target)
    assert undone[0] == RestoreState.EXACT
    assert undone[-1] == RestoreState.UNDONE
    assert spools() == []


def replace_until_it_survives(target: Target) -> list[str]:
    """Kill at the first step, then at the second, and so on; return how each was settled, the survivor last."""
    states: list[str] = []
    code = KILLED
    while code == KILLED:
        code = target.run(JobKind.RESTORE, len(states) + 1, **replacing(target))
        row = Restore.objects.latest("pk")
        states.append(row.state)
        look(target, row)
    return states


def undo_until_it_survives(target: Target) -> list[str]:
    states: list[str] = []
    code = KILLED
    while code == KILLED:
        row = replaced_again(target)
        code = target.run(JobKind.UNDO, len(states) + 1, restore=row.pk)
        row.refresh_from_db()
        states.append(row.state)
        if row.state == RestoreState.EXACT:
            assert (target.content(), target.names()) == (target.new, {target.own, f"{target.own}__before_{row.pk}"})
        else:
            assert (target.content(), target.names()) == (target.old, {target.own, f"{target.own}__undone_{row.pk}"})
    return states


def replaced_again(target: Target) -> Restore:
    """Return a restore that can be undone, the newest where that is one."""
    if Restore.objects.latest("pk").state != RestoreState.EXACT:
        forget_ways_back(timezone.now() + timedelta(days=3))
        target.run(JobKind.RESTORE, NEVER, **replacing(target))
    return Restore.objects.latest("pk")


def replacing(target: Target) -> dict[str, Any]:
    return {"backup": target.backup.pk, "mode": "replace", "keep_hours": 1}


def look(target: Target, row: Restore) -> None:
    """What the row says is what is there, and nothing else; then go back."""
    if row.state == RestoreState.FAILED:
        assert (target.content(), target.names()) == (target.old, {target.own})
        return
    assert row.state == RestoreState.EXACT
    assert (target.content(), target.names()) == (target.new, {target.own, f"{target.own}__before_{row.pk}"})
    undo_restore(row=row, progress=Silent())
    assert (target.content(), target.names()) == (target.old, {target.own, f"{target.own}__undone_{row.pk}"})
    forget_ways_back(timezone.now() + timedelta(days=3))
    assert target.names() == {target.own}


def take(database: Database, storage: Storage) -> Backup:
    return take_backup(database=database, storages=[storage], scope="full", progress=Silent())


@pytest.fixture
def storage(db: None, tmp_path: Path) -> Storage:
    return make_storage(tmp_path / "archives", is_default=True)


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_sqlite(tmp_path: Path, storage: Storage, mode: str) -> None:
    folder = tmp_path / "live"
    folder.mkdir()
    path = make_sqlite_file(folder / "shop.db", rows=500)
    application = apsw.Connection(str(path))
    application.execute(f"PRAGMA journal_mode={mode}").fetchall()
    database = sqlite_database(path, slug="shop")

    def content() -> Any:
        return application.execute("SELECT count(*), max(title), min(title) FROM releases").fetchall()

    def names() -> set[str]:
        return {name for name in below(folder) if not name.endswith(("-wal", "-shm"))}

    new, backup = content(), take(database, storage)
    application.execute("INSERT INTO releases (title) VALUES ('zzz')").fetchall()
    both(Target(database, backup, content, names, content(), new))
    application.close()


def test_files(tmp_path: Path, storage: Storage) -> None:
    root = tmp_path / "live" / "config"
    (root / "sub").mkdir(parents=True)
    for name in ("a.json", "b.json", "sub/c.json"):
        (root / name).write_text('{"version": "new"}')
    database = make_database(engine="files", settings={"folder": str(root), "required": ["**/*.json"]}, slug="config")

    def content() -> Any:
        return {name: ((root / name).read_bytes(), (root / name).stat().st_mtime_ns) for name in below(root)}

    def names() -> set[str]:
        return {path.name for path in root.parent.iterdir()}

    new, backup = content(), take(database, storage)
    (root / "a.json").write_text('{"version": "old"}')
    (root / "sub/c.json").unlink()
    (root / "d.json").write_text("{}")
    both(Target(database, backup, content, names, content(), new))


@pytest.fixture
def shop(postgresql: Database, server: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("DBADMIN_POSTGRESQL_BIN", str(server.bin_folder))
    execute(postgresql, "CREATE TABLE t (id int PRIMARY KEY, word text)")
    execute(postgresql, "INSERT INTO t SELECT n, 'new' FROM generate_series(1, 50) n")
    yield postgresql
    for name in found(postgresql) - {postgresql.connection().dbname}:
        execute(postgresql, f'DROP DATABASE "{name}" WITH (FORCE)')


def found(database: Database) -> set[str]:
    with psycopg.connect(**database.connection().parameters(), autocommit=True) as session:
        rows = session.execute(
            "SELECT datname FROM pg_database WHERE datallowconn OR datname LIKE '%\\_\\_%'"
        ).fetchall()
    return {name for (name,) in rows if name.startswith(database.connection().dbname)}


@pytest.mark.postgresql
def test_postgresql(shop: Database, storage: Storage) -> None:
    def content() -> Any:
        with psycopg.connect(**shop.connection().parameters(), autocommit=True) as session:
            return session.execute("SELECT word, count(*) FROM t GROUP BY 1 ORDER BY 1").fetchall()

    new, backup = content(), take(shop, storage)
    execute(shop, "UPDATE t SET word = 'old' WHERE id > 10")
    both(Target(shop, backup, content, lambda: found(shop), content(), new))

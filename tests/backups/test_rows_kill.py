"""kill -9 at every boundary of replacing rows: the tables hold what they held or what the backup has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from dbadmin.choices import JobKind, RestoreState
from dbadmin.models import Database, Restore, Storage
from tests.backups.files import spools
from tests.backups.test_replace_kill import KILLED, Target, found, take
from tests.backups.test_replace_kill import shop as shop
from tests.backups.test_replace_kill import storage as storage
from tests.postgresql_database import execute
from tests.postgresql_database import postgresql as postgresql
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db(transaction=True)


def kill_at_every_step(target: Target, table: str, change: Any) -> None:
    states: list[str] = []
    code = KILLED
    while code == KILLED:
        change()
        params = {"backup": target.backup.pk, "mode": "tables", "in_place": True, "tables": [table]}
        code = target.run(JobKind.RESTORE, len(states) + 1, **params)
        states.append(Restore.objects.latest("pk").state)
        is_new = states[-1] == RestoreState.EXACT
        assert target.content() == (target.new if is_new else target.old)
        assert target.names() == {target.own}
    assert states[0] == RestoreState.FAILED
    assert states.count(RestoreState.EXACT) > 1  # killed after the commit, and not killed
    assert spools() == []


def test_sqlite(tmp_path: Path, storage: Storage) -> None:
    path = make_sqlite_file(tmp_path / "shop.db", rows=500)
    application = apsw.Connection(str(path))
    application.execute("PRAGMA journal_mode=wal").fetchall()
    database = sqlite_database(path, slug="shop")

    def content() -> Any:
        schema = application.execute("SELECT name FROM sqlite_schema ORDER BY 1").fetchall()
        return application.execute("SELECT count(*), max(title) FROM releases").fetchall(), schema

    new, backup = content(), take(database, storage)

    def change() -> None:
        application.execute("DELETE FROM releases WHERE title = 'zzz'").fetchall()
        application.execute("INSERT INTO releases (title) VALUES ('zzz')").fetchall()

    change()
    target = Target(database, backup, content, lambda: {"shop.db"}, content(), new)
    kill_at_every_step(target, "releases", change)
    application.close()


@pytest.mark.postgresql
def test_postgresql(shop: Database, storage: Storage) -> None:
    def content() -> Any:
        with psycopg.connect(**shop.connection().parameters(), autocommit=True) as session:
            return session.execute("SELECT word, count(*) FROM t GROUP BY 1 ORDER BY 1").fetchall()

    new, backup = content(), take(shop, storage)

    def change() -> None:
        execute(shop, "UPDATE t SET word = 'old' WHERE id > 10")

    change()
    target = Target(shop, backup, content, lambda: found(shop), content(), new)
    kill_at_every_step(target, "public.t", change)

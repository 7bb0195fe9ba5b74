"""How much is measured is chosen; what was not is said everywhere, and nothing is called proven by it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

from dbadmin.backups.compare import compare_backup
from dbadmin.backups.drill import drill_backup
from dbadmin.backups.replace import replace_with_backup
from dbadmin.backups.restore import restore_backup
from dbadmin.backups.take import take_backup
from dbadmin.choices import ComparisonState, DrillState, FactsLevel, RestoreState
from dbadmin.engines.base import Dump, in_words
from dbadmin.engines.sqlite import SQLiteEngine
from dbadmin.facts import Facts, Measuring
from dbadmin.models import Backup, Database, Restore, Storage
from dbadmin.progress import Silent
from dbadmin.text import Text
from tests.postgresql_database import execute, postgresql

__all__ = ["postgresql"]
NEARLY_NOTHING = 0.000_001
HASHES = Measuring(hashes=True)


def hashed(database: Database, *, seconds: float = 0) -> Database:
    database.facts_level = FactsLevel.HASHES
    database.save()
    database.facts_seconds = seconds  # type: ignore[assignment]
    return database


def take(database: Database, storage: Storage) -> Backup:
    return take_backup(database=database, storages=[storage], scope="full", progress=Silent())


def sqlite(path: Path, script: str) -> Facts:
    with sqlite3.connect(path) as db:
        db.executescript(script)
    db.close()
    engine = SQLiteEngine()
    return engine.facts(engine.connection({"path": str(path)}), progress=Silent(), measuring=HASHES)


def said(checks: list[dict]) -> list[tuple[str, str]]:
    return [(check["verdict"], str(Text.from_json(check["message"]))) for check in checks]


def restore(backup: Backup) -> Restore:
    return restore_backup(backup=backup, target_name="copy.db", keep_owners=True, progress=Silent())


VALUES = """
CREATE TABLE t (a, b TEXT, c REAL, twice AS (a || a) STORED, "order" BLOB);
INSERT INTO t (a, b, c, "order") VALUES (1, '1', 9e999, x'31'), ('1', CAST(x'ff00' AS TEXT), 0.1 + 0.2, NULL),
  (1.0, '', -0.0, x''), (NULL, NULL, NULL, NULL), (7, 'same', 7, NULL), (7, 'same', 7, NULL);
CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO w VALUES ('東', 1), ('京', 2);
CREATE VIRTUAL TABLE words USING fts5 (body); INSERT INTO words VALUES ('found');
"""


def test_hashes_heed_content_not_order_or_place(tmp_path: Path) -> None:
    one = sqlite(tmp_path / "one.db", VALUES)
    again = "CREATE TABLE u AS SELECT * FROM t; DELETE FROM t; INSERT INTO t (a, b, c, [order]) SELECT a, b, c, [order]"
    other = sqlite(tmp_path / "other.db", f"{VALUES} {again} FROM u ORDER BY rowid DESC; DROP TABLE u; VACUUM")
    assert one.hashes.keys() == {"t", "w"}
    assert one.hashes == other.hashes


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE t SET a = '1' WHERE typeof(a) = 'integer' AND a = 1",
        "UPDATE t SET c = 0.3 WHERE c BETWEEN 0.2 AND 0.4",
        "UPDATE t SET b = CAST(x'ff01' AS TEXT) WHERE typeof(a) = 'text'",
        "UPDATE t SET [order] = '1' WHERE [order] = x'31'",
        "UPDATE t SET b = NULL WHERE b = ''",
        "UPDATE t SET (a, b, c) = (NULL, NULL, NULL) WHERE b = 'same'",
    ],
)
def test_one_value_or_its_type_altered_is_found(change: str, tmp_path: Path) -> None:
    before, after = sqlite(tmp_path / "one.db", VALUES), sqlite(tmp_path / "one.db", change)
    assert before.tables == after.tables
    assert [difference.subject for difference in before.differences(after)] == ["t"]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_a_drill_proves_by_hashes(kind: str, storage: Storage, request: pytest.FixtureRequest) -> None:
    database = hashed(request.getfixturevalue("postgresql" if kind == "postgresql" else "database"))
    if kind == "postgresql":
        execute(database, "CREATE TABLE releases AS SELECT n, md5(n::text) FROM generate_series(1, 50) AS n")
    row = drill_backup(backup=take(database, storage), progress=Silent())
    assert row.state == DrillState.PROVEN
    assert any("by their hashes too" in message for _verdict, message in said(row.checks))


def test_a_value_that_the_dump_has_otherwise_is_found_by_facts_alone(
    database: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SQLiteEngine()
    facts = engine.facts(database.connection(), progress=Silent(), measuring=HASHES)
    sqlite(Path(database.settings["path"]), "UPDATE releases SET title = 'other' WHERE id = 1")
    dump = SQLiteEngine.dump

    def altered(self: SQLiteEngine, connection: object, **options: object) -> Dump:
        return replace(dump(self, connection, **options), facts=facts)  # type: ignore[arg-type]

    monkeypatch.setattr(SQLiteEngine, "dump", altered)
    row = drill_backup(backup=take(hashed(database), storage), progress=Silent())
    assert row.state == DrillState.DIFFERENT
    assert [difference["subject"] for difference in row.differences] == ["releases"]


def test_without_time_nothing_is_proven_and_it_is_said_why(
    database: Database, storage: Storage, admin_client: Client
) -> None:
    backup = take(hashed(database, seconds=NEARLY_NOTHING), storage)
    assert backup.measured().uncounted
    row = drill_backup(backup=backup, progress=Silent())
    assert (row.state, row.differences) == (DrillState.INCOMPLETE, [])
    backup.refresh_from_db()
    assert backup.proven_at is None
    reasons = [message for verdict, message in said(row.checks) if verdict == "unknown"]
    assert any("releases were not measured: The time limit" in message for message in reasons)
    assert not any(message == "All are as they were backed up." for _verdict, message in said(row.checks))
    page = admin_client.get(backup.get_absolute_url()).content.decode()
    assert "The rows of releases were not measured: The time limit" in page
    assert "Not proven: nothing differs" in admin_client.get(row.get_absolute_url()).content.decode()


def test_a_restore_of_what_was_not_measured_is_not_called_exact(database: Database, storage: Storage) -> None:
    row = restore(take(hashed(database, seconds=NEARLY_NOTHING), storage))
    assert row.state == RestoreState.DIFFERENT
    assert {difference["expected"] for difference in row.differences} == {"not measured"}


def test_a_replacing_by_what_was_not_measured_says_so(database: Database, storage: Storage) -> None:
    backup = take(hashed(database, seconds=NEARLY_NOTHING), storage)
    row = replace_with_backup(backup=backup, database=database, progress=Silent())
    assert any("were not measured" in line["message"] for line in in_words(row.lines))


def test_a_hashed_restore_is_exact(database: Database, storage: Storage) -> None:
    assert restore(take(hashed(database), storage)).state == RestoreState.EXACT


def test_a_live_database_is_compared_by_hashes_without_a_dump_of_its_rows(database: Database, storage: Storage) -> None:
    backup = take(hashed(database), storage)
    assert compare_backup(backup=backup, other=None, content=False, progress=Silent()).state == ComparisonState.EQUAL
    sqlite(Path(database.settings["path"]), "UPDATE releases SET title = 'other' WHERE id = 1")
    assert (
        compare_backup(backup=backup, other=None, content=False, progress=Silent()).state == ComparisonState.DIFFERENT
    )


def test_what_was_not_measured_is_never_compared_as_equal(database: Database, storage: Storage) -> None:
    backup = take(hashed(database, seconds=NEARLY_NOTHING), storage)
    row = compare_backup(backup=backup, other=None, content=False, progress=Silent())
    assert row.state == ComparisonState.INCOMPLETE
    assert {table["state"] for table in row.result["tables"]} == {"unknown"}


def test_facts_of_an_earlier_version_can_be_read() -> None:
    old = Facts.from_json({"tables": {"a": 1}, "missing": ["b"]})
    assert (old.hashes, old.uncounted) == ({}, ("b",))
    assert str(old.unmeasured[0]) == "The rows of b were not measured: They could not be read."
    assert Facts.from_json(json.loads(json.dumps(old.to_json()))) == old


@pytest.mark.django_db
def test_the_level_is_chosen_at_the_command_line(tmp_path: Path) -> None:
    add = ("databases", "add", "Shop", "--application=Shop", f"--path={tmp_path / 'a.db'}", "--engine=sqlite")
    call_command(*add, "--facts=hashes", "--facts-seconds=30", stdout=StringIO())
    assert Database.objects.get().measuring == Measuring(hashes=True, seconds=30)


def test_the_level_is_chosen_in_the_settings(database: Database, admin_client: Client) -> None:
    page = admin_client.get(f"/databases/{database.slug}/edit/").content.decode()
    assert 'name="facts_level"' in page
    fields = {"name": "Shop", "application": database.application_id, "environment": "staging"}
    fields |= {"backup_age_hours": "30", "facts_level": "hashes", "facts_seconds": "5"}
    fields |= {"connection-path": database.settings["path"]}
    admin_client.post(f"/databases/{database.slug}/edit/", fields)
    database.refresh_from_db()
    assert (database.facts_level, database.facts_seconds) == ("hashes", 5)
    assert "5 seconds" in admin_client.get(f"/databases/{database.slug}/?tab=settings").content.decode()

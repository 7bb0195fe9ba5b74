"""Drills of files: what is equal is proven, what differs is named, and nothing is left."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from dbadmin.backups.drill import drill_backup
from dbadmin.backups.take import take_backup
from dbadmin.choices import DrillKind, DrillState
from dbadmin.engines.base import Dump
from dbadmin.engines.sqlite import SQLiteEngine
from dbadmin.exceptions import Refused
from dbadmin.models import Backup, Database, Drill, Storage
from dbadmin.progress import Silent
from tests.backups.files import spools
from tests.factories import make_database


def drill(backup: Backup, **options: Any) -> Drill:
    return drill_backup(backup=backup, progress=Silent(), **options)


def files_database(folder: Path) -> Database:
    folder.mkdir()
    (folder / "config.json").write_text('{"a": 1}')
    return make_database(engine="files", settings={"folder": str(folder), "required": ["*.json"]})


def test_a_file_is_proven_and_nothing_is_left(backup: Backup) -> None:
    row = drill(backup)
    assert (row.state, row.differences) == (DrillState.PROVEN, [])
    backup.refresh_from_db()
    assert backup.proven_at == row.finished_at
    assert spools() == []


def test_a_set_of_files_is_proven(storage: Storage, tmp_path: Path) -> None:
    database = files_database(tmp_path / "config")
    assert drill(take_backup(database=database, storages=[storage], scope="full", progress=Silent())).state == "proven"


def test_a_schema_is_proven_without_rows(database: Database, storage: Storage) -> None:
    row = drill(take_backup(database=database, storages=[storage], scope="schema", progress=Silent()))
    assert (row.state, row.differences) == (DrillState.PROVEN, [])


@pytest.mark.parametrize(
    ("harm", "subject"),
    [
        ("DELETE FROM releases WHERE id = 1", "releases"),
        ("CREATE INDEX more ON releases (title)", "more"),
        ("ALTER TABLE releases ADD extra TEXT", "schema"),
    ],
)
def test_what_is_otherwise_than_it_was_measured_is_named(
    harm: str, subject: str, database: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = SQLiteEngine().facts(database.connection(), progress=Silent())
    with sqlite3.connect(database.settings["path"]) as db:
        db.execute(harm)
    db.close()
    dump = SQLiteEngine.dump

    def lossy(self: SQLiteEngine, connection: Any, **options: Any) -> Dump:
        return replace(dump(self, connection, **options), facts=facts)

    monkeypatch.setattr(SQLiteEngine, "dump", lossy)
    row = drill(take_backup(database=database, storages=[storage], scope="full", progress=Silent()))
    assert row.state == DrillState.DIFFERENT
    assert subject in {difference["subject"] for difference in row.differences}


def test_data_alone_is_refused(database: Database, storage: Storage) -> None:
    backup = take_backup(database=database, storages=[storage], scope="data", progress=Silent())
    with pytest.raises(Refused, match="full backup"):
        drill(backup)


def test_a_table_that_the_backup_lacks_is_refused(backup: Backup) -> None:
    with pytest.raises(Refused, match="nowhere"):
        drill(backup, kind=DrillKind.PARTIAL, tables=("nowhere",))


def test_a_partial_drill_does_not_make_the_badge(backup: Backup) -> None:
    assert drill(backup, kind=DrillKind.PARTIAL).state == DrillState.PROVEN
    backup.refresh_from_db()
    assert backup.proven_at is None


def test_a_stored_archive_is_read_back_at_once(backup: Backup) -> None:
    assert backup.verified_at is not None


def test_the_command_says_proven_and_keeps_the_history(backup: Backup) -> None:
    out = StringIO()
    call_command("drill", "run", "--latest", backup.database.slug, "--json", stdout=out)
    assert json.loads(out.getvalue())["results"][0]["drill"]["state"] == "proven"
    out = StringIO()
    call_command("drill", "history", "--database", backup.database.slug, stdout=out)
    assert "Proven" in out.getvalue()


def test_the_command_ends_with_2_when_an_assertion_fails(backup: Backup) -> None:
    sql = "SELECT count(*) FROM releases"
    call_command("drill", "expect", backup.database.slug, "many", "count", sql, "--minimum", "9", stdout=StringIO())
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("drill", "run", str(backup.pk), stdout=out, stderr=StringIO())
    assert ended.value.code == 2
    assert "3 is fewer than 9" in out.getvalue()

"""Backups compared with the live database and with each other: the states, the page, the command."""

from __future__ import annotations

import json
import sqlite3
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from dbadmin.backups.compare import compare_backup, quick_look
from dbadmin.backups.take import take_backup
from dbadmin.choices import BackupState, ComparisonState
from dbadmin.engines import comparing
from dbadmin.exceptions import CorruptArchive, Refused
from dbadmin.jobs.execution import run_now
from dbadmin.models import Backup, Comparison, Database, Job, Storage
from dbadmin.progress import Silent
from dbadmin.views.comparisons import headline
from tests.backups.files import flip_a_byte, spools, stored
from tests.factories import make_backup, make_database
from tests.postgresql_database import execute, postgresql

__all__ = ["postgresql"]

SHOP = """
CREATE TABLE items (id serial PRIMARY KEY, name text, price numeric);
INSERT INTO items (name, price) SELECT 'item ' || n, n FROM generate_series(1, 300) AS n;
CREATE INDEX items_name ON items (name);
CREATE TABLE log (at timestamptz DEFAULT now(), line text);
INSERT INTO log (line) SELECT 'line ' || n FROM generate_series(1, 50) AS n;
"""


def take(database: Database, storage: Storage, scope: str = "full") -> Backup:
    return take_backup(database=database, storages=[storage], scope=scope, progress=Silent())


def compare(backup: Backup, other: Backup | None = None, *, content: bool = True) -> Comparison:
    return compare_backup(backup=backup, other=other, content=content, progress=Silent())


def change(database: Database, *statements: str) -> None:
    db = sqlite3.connect(database.settings["path"])
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def differing(row: Comparison) -> dict[str, str]:
    return {table["name"]: table["state"] for table in row.result["tables"] if table["state"] != "same"}


@pytest.mark.postgresql
def test_a_live_database_that_nobody_touched_is_equal(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, SHOP)
    backup = take(postgresql, storage)
    row = compare(backup)
    assert (row.state, differing(row), headline(row)) == (ComparisonState.EQUAL, {}, "Nothing differs")
    assert compare(backup, take(postgresql, storage)).state == ComparisonState.EQUAL
    assert spools() == []


@pytest.mark.postgresql
def test_counts_and_schema_alone_are_never_equal(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, SHOP)
    backup = take(postgresql, storage)
    assert compare(backup, content=False).state == ComparisonState.INCOMPLETE
    execute(postgresql, "UPDATE items SET price = 0 WHERE id = 1")
    assert compare(backup, content=False).state == ComparisonState.INCOMPLETE
    assert compare(backup).state == ComparisonState.DIFFERENT


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("harm", "said"),
    {
        "dropped column": ("ALTER TABLE items DROP COLUMN price", "1 table differs"),
        "changed index": ("DROP INDEX items_name; CREATE INDEX items_name ON items (price)", "1 index differs"),
        "row removed": ("DELETE FROM items WHERE id = 5", "1 table differs"),
        "row changed": ("UPDATE items SET name = 'x' WHERE id = 5", "1 table differs"),
        "row added and sequence moved": ("INSERT INTO items (name) VALUES ('x')", "1 table and 1 sequence differ"),
        "sequence moved": ("SELECT nextval('items_id_seq')", "1 sequence differs"),
        "table dropped": ("DROP TABLE log", "1 table differs"),
        "everything": (
            "DROP TABLE log; ALTER TABLE items DROP COLUMN price; DROP INDEX items_name;"
            " SELECT nextval('items_id_seq'); CREATE VIEW v AS SELECT 1 AS one",
            "2 tables, 1 index, 1 sequence and 1 other object differ",
        ),
    }.values(),
)
def test_every_difference_is_in_the_sentence(postgresql: Database, storage: Storage, harm: str, said: str) -> None:
    execute(postgresql, SHOP)
    backup = take(postgresql, storage)
    execute(postgresql, harm)
    row = compare(backup)
    assert (row.state, headline(row)) == (ComparisonState.DIFFERENT, said)


@pytest.mark.postgresql
def test_a_dropped_column_is_no_change_of_every_row(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, SHOP)
    backup = take(postgresql, storage)
    execute(postgresql, "ALTER TABLE items DROP COLUMN price; UPDATE items SET name = 'x' WHERE id = 5")
    (changes,) = (table["changes"] for table in compare(backup).result["tables"] if table["name"] == "public.items")
    assert (changes["added"], changes["removed"], changes["changed"]) == (0, 0, 1)
    assert changes["samples"][0]["key"] == "id=5"


def test_rows_of_sqlite_that_were_added_removed_and_changed(database: Database, storage: Storage) -> None:
    backup = take(database, storage)
    change(database, "DELETE FROM releases WHERE id = 1", "UPDATE releases SET title = 'x' WHERE id = 2")
    row = compare(backup)
    assert differing(row) == {"releases": "changed"}
    second = take(database, storage)
    assert compare(backup, second).result["tables"] == row.result["tables"]
    assert [each["name"] for each in quick_look(backup, second)] == ["releases"]
    assert compare(second).state == ComparisonState.EQUAL


def test_a_changed_key_of_a_file_is_named(db: None, storage: Storage, sample_files: Path) -> None:
    settings = {"folder": str(sample_files), "required": ["*.json"]}
    backup = take(make_database(engine="files", settings=settings), storage)
    assert compare(backup).state == ComparisonState.EQUAL
    path = sorted(sample_files.glob("*.json"))[0]
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"new": 1} if isinstance(document, dict) else [*document, 1]))
    row = compare(backup)
    assert differing(row) == {path.name: "changed"}
    assert headline(row) == "1 file differs"


def test_what_was_not_compared_is_never_equal(
    backup: Backup, database: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "WAITING_BYTES", 10)
    change(database, "UPDATE releases SET id = id + 1000", "UPDATE releases SET id = id - 999")
    row = compare(backup, take(database, storage))
    assert row.state == ComparisonState.INCOMPLETE
    assert differing(row) == {"releases": "unknown"}
    schema = take(database, storage, "schema")
    assert compare(backup, schema).state == ComparisonState.INCOMPLETE


def test_a_damaged_archive_is_noticed(backup: Backup) -> None:
    flip_a_byte(stored(backup, "backup.tar"))
    with pytest.raises(CorruptArchive):
        compare(backup)
    backup.refresh_from_db()
    assert backup.state == BackupState.DAMAGED
    assert (Comparison.objects.count(), spools()) == (0, [])


def test_backups_of_two_databases_are_refused(backup: Backup) -> None:
    with pytest.raises(Refused, match="different databases"):
        compare(backup, make_backup())
    with pytest.raises(Refused, match="equal to itself"):
        compare(backup, backup)


def test_from_the_button_to_the_page(operator: Client, admin: Client, viewer: Client, backup: Backup) -> None:
    address = reverse("backup-compare", args=[backup.pk])
    assert address in operator.get(backup.get_absolute_url()).content.decode()
    assert operator.get(address).status_code == 200
    change(backup.database, "DELETE FROM releases WHERE id = 1")
    operator.post(address, {"with": "live", "depth": "content"})
    run_now(Job.objects.get(kind="compare"))
    row = Comparison.objects.get()
    assert row.get_absolute_url() in viewer.get(reverse("job", args=[row.job_id])).content.decode()
    for client, sees_keys in ((admin, True), (operator, False), (viewer, False)):
        shown = client.get(row.get_absolute_url()).content.decode()
        assert "<h1" in shown
        assert "1 table differs" in shown
        assert ("<code>id=1</code>" in shown) == sees_keys


def test_another_backup_is_looked_at_at_once(operator: Client, backup: Backup, storage: Storage) -> None:
    change(backup.database, "DELETE FROM releases WHERE id = 1")
    other = take(backup.database, storage)
    address = reverse("backup-compare", args=[backup.pk])
    assert "releases" in operator.get(address, {"with": other.pk}).content.decode()
    assert operator.get(address, {"with": make_backup().pk}).status_code == 404


def test_the_pages_ask_the_catalogue_as_often_for_many(
    admin: Client, backup: Backup, storage: Storage, django_assert_max_num_queries: Any
) -> None:
    for _number in range(3):
        compare(backup, take(backup.database, storage))
    with django_assert_max_num_queries(8):
        admin.get(reverse("backup-compare", args=[backup.pk]))
    with django_assert_max_num_queries(8):
        admin.get(Comparison.objects.all()[0].get_absolute_url())


def command(*arguments: str) -> tuple[int, str]:
    output = StringIO()
    try:
        call_command("backup", "compare", *arguments, stdout=output, stderr=StringIO())
    except SystemExit as leaving:
        return int(str(leaving.code)), output.getvalue()
    return 0, output.getvalue()


def test_the_command_says_by_its_exit_code_whether_they_differ(backup: Backup, storage: Storage) -> None:
    assert command(str(backup.pk))[0] == 0
    assert command(str(backup.pk), "--quick")[0] == 3
    change(backup.database, "DELETE FROM releases WHERE id = 1")
    other = take(backup.database, storage)
    code, said = command(str(backup.pk), "--with", str(other.pk), "--json")
    assert code == 1
    (result,) = json.loads(said)["results"]
    assert (result["comparison"]["state"], result["comparison"]["right"]) == ("different", other.pk)
    assert "removed id=1" in command(str(backup.pk))[1]
    assert command(str(backup.pk), "--with", "yesterday")[0] == 4

"""Real Alembic projects: applied, pending, missing, modified, several heads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dbadmin.migration_history.read import read_history
from dbadmin.models import AppliedMigration, Database, MigrationStatus
from tests.migration_history.alembic_project import AlembicProject

pytestmark = pytest.mark.django_db

Read = Callable[..., MigrationStatus]
States = Callable[[], dict[str, str]]


def test_before_the_first_upgrade_everything_is_pending(alembic: AlembicProject, read: Read, states: States) -> None:
    status = read()
    assert (status.head, status.applied, status.pending) == ("", 0, 3)
    assert states() == {"a1": "pending", "b2": "pending", "c3": "pending"}


def test_what_comes_before_the_head_is_applied(alembic: AlembicProject, read: Read, states: States) -> None:
    alembic.upgrade("b2")
    status = read()
    assert (status.head, status.applied, status.pending, bool(status.problem)) == ("b2", 2, 1, False)
    assert states() == {"a1": "applied", "b2": "applied", "c3": "pending"}
    assert AppliedMigration.objects.get(revision="a1").description == "Add a1"


def test_first_seen_is_since_when_it_is_applied(alembic: AlembicProject, read: Read) -> None:
    alembic.upgrade("b2")
    read()
    alembic.upgrade("c3")
    read(minutes=5)
    b2, c3 = (AppliedMigration.objects.get(revision=name) for name in ("b2", "c3"))
    assert c3.first_seen_at > b2.first_seen_at
    assert c3.last_seen_at == b2.last_seen_at


def test_a_downgrade_is_pending_again(alembic: AlembicProject, read: Read, states: States) -> None:
    alembic.upgrade()
    read()
    alembic.downgrade("a1")
    assert read(minutes=1).pending == 2
    assert states() == {"a1": "applied", "b2": "pending", "c3": "pending"}


def test_the_missing_file_of_the_head_keeps_what_was_known(alembic: AlembicProject, read: Read, states: States) -> None:
    alembic.upgrade()
    read()
    alembic.file("c3").unlink()
    status = read(minutes=1)
    assert states() == {"a1": "applied", "b2": "applied", "c3": "file_missing"}
    assert "the file is missing: c3" in str(status.problem)
    assert AppliedMigration.objects.get(revision="c3").description == "Add c3"


def test_a_missing_head_never_seen_before_leaves_the_rest_open(
    alembic: AlembicProject, read: Read, states: States
) -> None:
    alembic.upgrade()
    alembic.file("c3").unlink()
    assert read().pending is None
    assert states() == {"c3": "file_missing"}


def test_a_missing_file_in_between_is_found(alembic: AlembicProject, read: Read, states: States) -> None:
    alembic.upgrade()
    alembic.file("b2").unlink()
    read()
    assert states() == {"b2": "file_missing", "c3": "applied"}


def test_a_file_changed_after_it_was_applied_is_modified(alembic: AlembicProject, read: Read, states: States) -> None:
    alembic.upgrade("b2")
    read()
    for name in ("b2", "c3"):
        with alembic.file(name).open("a") as file:
            file.write("\nEXTRA = True\n")
    assert "changed after it was applied: b2" in str(read(minutes=1).problem)
    assert states() == {"a1": "applied", "b2": "modified", "c3": "pending"}
    assert read(minutes=2).problem, "it stays modified"


def test_other_line_ends_are_no_modification(alembic: AlembicProject, read: Read, states: States) -> None:
    alembic.upgrade()
    read()
    alembic.file("a1").write_bytes(alembic.file("a1").read_bytes().replace(b"\n", b"\r\n"))
    read(minutes=1)
    assert states()["a1"] == "applied"


def test_two_heads_are_a_problem(alembic: AlembicProject, read: Read) -> None:
    alembic.upgrade()
    alembic.revision("d4", after="b2")
    status = read()
    assert "2 heads (c3, d4)" in str(status.problem)
    assert status.pending == 1


def test_without_the_project_only_the_head_is_known(
    alembic: AlembicProject, database: Database, read: Read, states: States
) -> None:
    alembic.upgrade()
    database.project_folder = ""
    status = read()
    assert (status.head, status.applied, status.pending) == ("c3", 1, None)
    assert states() == {"c3": "applied"}


def test_a_project_that_is_away_for_a_while_loses_nothing(alembic: AlembicProject, read: Read, states: States) -> None:
    alembic.upgrade("b2")
    read()
    alembic.folder.rename(alembic.folder.with_name("away"))
    assert "cannot be read" in str(read(minutes=1).problem)
    assert set(states()) == {"a1", "b2", "c3"}


def test_a_dropped_table_leaves_our_rows(database: Database, alembic: AlembicProject, read: Read) -> None:
    alembic.upgrade()
    database.project_folder = ""
    read()
    with sqlite3.connect(database.settings["path"]) as db:
        db.execute("DROP TABLE alembic_version")
    assert "no table of this tool" in str(read(minutes=1).problem)
    row = AppliedMigration.objects.get(revision="c3")
    assert row.state == "applied"
    assert row.disappeared_at is not None


def test_a_foreign_table_of_that_name_is_left_alone(database: Database) -> None:
    with sqlite3.connect(database.settings["path"]) as db:
        db.executescript("CREATE TABLE alembic_version (id INT); CREATE TABLE django_migrations (note TEXT);")
    read_history(database, now=database.created_at)
    assert not MigrationStatus.objects.exists()


def test_a_migration_file_is_never_run(alembic: AlembicProject, read: Read, tmp_path: Path) -> None:
    proof = tmp_path / "it-ran"
    with alembic.file("a1").open("a") as file:
        file.write(f"\nopen({str(proof)!r}, 'w')\n")
    read()
    assert not proof.exists()


def test_the_number_of_queries_does_not_grow(
    alembic: AlembicProject, read: Read, django_assert_num_queries: object
) -> None:
    def queries(minutes: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            read(minutes)
        return len(captured)

    few = queries(0)
    for number in range(30):
        alembic.revision(f"e{number}")
    assert queries(1) <= few + 1

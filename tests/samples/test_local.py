"""The SQLite database and the files of the samples, and their rows in the catalogue."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from django.conf import settings

from dbadmin.engines import get_engine
from dbadmin.health.plans import plans
from dbadmin.models import Database, Schedule, Storage
from dbadmin.progress import Silent
from dbadmin.samples.applications import APPLICATIONS, copy_projects
from dbadmin.samples.files import OPTIONAL, REQUIRED, create_files
from dbadmin.samples.register import Places, register, register_storage
from dbadmin.samples.sqlite import create_sqlite
from tests.sample_data import TODAY


def test_sqlite_is_in_wal_mode_with_releases_and_odd_tables(sample_sqlite: Path) -> None:
    with closing(sqlite3.connect(sample_sqlite)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        columns = [row[1] for row in connection.execute("PRAGMA table_xinfo(releases)")]
        assert {"created_at", "release_date", "notified", "overdue"} <= set(columns)
        assert connection.execute("SELECT count(*) FROM releases").fetchone() == (8_400,)
        assert connection.execute("SELECT count(*) FROM releases WHERE overdue").fetchone()[0] > 0
        assert connection.execute("SELECT count(*) FROM works_search WHERE works_search MATCH 'Family'").fetchone()
        assert connection.execute('SELECT count(*) FROM "視聴 履歴"').fetchone() == (140,)
        assert connection.execute("SELECT count(*) FROM notification_queue").fetchone() == (0,)


def test_the_newest_release_was_seen_within_the_last_day(sample_sqlite: Path) -> None:
    with closing(sqlite3.connect(sample_sqlite)) as connection:
        newest = connection.execute("SELECT max(created_at) FROM releases").fetchone()[0]
    assert newest == f"{TODAY} 00:00:00"


def test_sqlite_that_is_there_is_left_alone(sample_sqlite: Path) -> None:
    sample_sqlite.write_bytes(b"mine")
    assert create_sqlite(sample_sqlite) is False
    assert sample_sqlite.read_bytes() == b"mine"


def test_sqlite_left_by_a_start_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".db.sqlite3.loading").write_bytes(b"half")
    (tmp_path / ".db.sqlite3.loading-wal").write_bytes(b"half")
    assert create_sqlite(tmp_path / "db.sqlite3")
    assert [path.name for path in tmp_path.iterdir()] == ["db.sqlite3"]


def test_two_sqlite_samples_of_one_day_are_equal(sample_sqlite: Path, tmp_path: Path) -> None:
    create_sqlite(tmp_path / "second.sqlite3", today=TODAY)
    with closing(sqlite3.connect(sample_sqlite)) as one, closing(sqlite3.connect(tmp_path / "second.sqlite3")) as two:
        assert list(one.iterdump()) == list(two.iterdump())


def test_files_are_those_of_the_guide(sample_files: Path) -> None:
    members = json.loads((sample_files / "config/members.json").read_text(encoding="utf-8"))
    member = members["987654321_123456789"]
    assert {"user_id", "guild_id", "join_date", "roles", "preferences", "statistics"} <= member.keys()
    assert all((sample_files / name).is_file() for name in REQUIRED)
    assert all(list(sample_files.glob(pattern)) for pattern in OPTIONAL)
    assert create_files(sample_files) is False


def places(folder: Path) -> Places:
    copy_projects(folder / "projects")
    create_sqlite(folder / "manga.sqlite3", today=TODAY)
    create_files(folder / "comet")
    return Places(
        postgresql={"host": str(folder), "port": 5432, "user": "postgres"},
        sqlite=folder / "manga.sqlite3",
        files=folder / "comet",
        projects=folder / "projects",
    )


@pytest.mark.django_db
def test_registering_twice_changes_nothing(tmp_path: Path) -> None:
    first = register(places(tmp_path))
    second = register(places(tmp_path))
    assert len(first) == 6 == Database.objects.count()
    assert {database.application.slug for database in second} == {sample.slug for sample in APPLICATIONS}
    assert [database.settings for database in first] == [database.settings for database in second]


@pytest.mark.django_db
def test_everything_is_backed_up_every_night_and_drilled_unless_somebody_thought_otherwise(tmp_path: Path) -> None:
    databases = register(places(tmp_path))
    schedules = Schedule.objects.order_by("next_due_at")
    assert {(each.kind, each.drill_kind, each.expression) for each in schedules} == {
        ("backup", "full", "0 3 * * *"), ("drill", "partial", "0 6 * * 6"), ("drill", "full", "0 6 1 * *"),
    }  # fmt: skip
    assert all(plans(database).backups == 1 for database in databases)
    schedules.delete()
    register(places(tmp_path))
    assert not Schedule.objects.exists()


@pytest.mark.django_db
def test_registered_files_and_sqlite_can_be_reached(tmp_path: Path) -> None:
    register(places(tmp_path))
    for slug in ("mangaanime", "comet-bot-files"):
        database = Database.objects.get(slug=slug)
        get_engine(database.engine).probe(database.connection()).require()
        assert database.adapter.facts(database.connection(), progress=Silent()).rows > 100


@pytest.mark.django_db
def test_a_sample_pointed_at_something_else_stays_so(tmp_path: Path) -> None:
    register(places(tmp_path))
    (tmp_path / "mine.sqlite3").touch()
    Database.objects.filter(slug="mangaanime").update(settings={"path": str(tmp_path / "mine.sqlite3")})
    Database.objects.filter(slug="comet-bot").update(settings={"host": "db.example", "name": "comet_bot"})
    register(places(tmp_path))
    assert Database.objects.get(slug="mangaanime").settings == {"path": str(tmp_path / "mine.sqlite3")}
    assert Database.objects.get(slug="comet-bot").settings["host"] == "db.example"


@pytest.mark.django_db
def test_a_moved_home_folder_takes_its_samples_and_storage_along(tmp_path: Path) -> None:
    (tmp_path / "old" / "archives").mkdir(parents=True)
    register(places(tmp_path / "old"))
    Storage.objects.create(name="Home", settings={"path": str(tmp_path / "old/archives")}, is_default=True)
    (tmp_path / "old").rename(tmp_path / "new")
    register(places(tmp_path / "new"))
    storage = register_storage(tmp_path / "new" / "archives")
    assert storage is not None
    assert storage.settings == {"path": str(tmp_path / "new/archives")}
    assert Database.objects.get(slug="mangaanime").settings["path"] == str(tmp_path / "new/manga.sqlite3")
    assert Database.objects.get(slug="goal-mandala").settings["host"] == str(tmp_path / "new")


@pytest.mark.django_db
def test_another_default_storage_is_left_alone() -> None:
    elsewhere = Storage.objects.create(name="Elsewhere", settings={"path": "/none"}, is_default=True)
    assert register_storage(settings.HOME / "archives") == elsewhere == Storage.objects.get()

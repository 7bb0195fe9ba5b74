"""``databases`` registers, tests and explains, and shows no password."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from dbadmin.models import Application, AuditEvent, Database
from tests.factories import make_database
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db
SECRET = "correct-horse"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "DATABASE_PUBLIC_URL",
        "DATABASE_URL",
        "PGHOST",
        "PGUSER",
        "PGDATABASE",
        "DB_HOST",
        "DB_USER",
        "DB_NAME",
    ):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str) -> tuple[int, str]:
    out, code = StringIO(), 0
    try:
        call_command("databases", *arguments, stdout=out, stderr=out)
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    return code, out.getvalue()


def result(*arguments: str) -> Any:
    code, text = run(*arguments, "--json")
    assert code == 0, text
    return json.loads(text)["results"]


def test_a_url_from_a_variable_is_registered_with_its_application_and_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMP_URL", f"postgresql+asyncpg://postgres:{SECRET}@localhost:5432/camp?pool_timeout=10")
    code, text = run(
        "add", "Camp backend", "--application", "Camp", "--url-env", "CAMP_URL", "--environment", "staging"
    )
    assert (code, SECRET in text, "Prisma" in text) == (0, False, True)
    database = Database.objects.get(slug="camp-backend")
    assert database.settings == {"host": "localhost", "port": 5432, "user": "postgres", "name": "camp"}
    assert (database.password, database.environment, database.application.slug) == (SECRET, "staging", "camp")
    event = AuditEvent.objects.get(action="database.add")
    assert event.actor.startswith("shell:")
    assert SECRET not in json.dumps(event.details)


def test_an_env_file_is_registered(tmp_path: Path) -> None:
    path = tmp_path / ".env.local"
    path.write_bytes(
        f"\ufeffexport DATABASE_URL='postgresql://u:{SECRET}@h/d'\r\nMKS_USE_POSTGRESQL=false\r\n".encode()
    )
    (row,) = result("add", "Knowledge", "--application", "Mirai", "--env-file", str(path))
    assert row["settings"]["host"] == "h"
    assert "file store" in row["remarks"][0]
    assert Database.objects.get().password == SECRET


def test_parts_with_a_password_from_a_variable_are_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_PASSWORD", SECRET)
    parts = ("--host", "db", "--dbname", "d", "--user", "u", "--password-env", "THE_PASSWORD")
    assert run("add", "x", "--application", "a", *parts)[0] == 0
    assert Database.objects.get().password == SECRET


def test_a_sqlite_file_and_a_set_of_files_are_registered_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (sqlite,) = result("add", "Anime", "--application", "MangaAnime", "--path", "db.sqlite3")
    (files,) = result(
        "add", "Bot", "--application", "COMET", "--path", ".", "--required", "*.json", "--optional", "x*.json"
    )
    assert (sqlite["engine"], sqlite["settings"]) == ("sqlite", {"path": str(tmp_path / "db.sqlite3")})
    assert (files["engine"], files["settings"]["folder"]) == ("files", str(tmp_path))
    assert (files["settings"]["required"], files["settings"]["optional"]) == (["*.json"], ["x*.json"])


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--url", f"postgresql://u:{SECRET}@x@h/d"), 4, "%40"),
        (("--url", "mysql://h/d"), 4, "not supported"),
        (("--url-env", "NOT_SET_ANYWHERE"), 4, "NOT_SET_ANYWHERE"),
        (("--env-file", "/nowhere/.env"), 4, "/nowhere/.env"),
        (("--from-environment",), 4, "No variables"),
        (("--host", "h"), 4, ""),
        (("--path", "/x", "--engine", "postgresql"), 4, "sqlite"),
        (("--path", "/x", "--slug", "taken"), 4, "not registered"),
        (("--path", "/x", "--slug", "not a slug"), 4, "not registered"),
    ],
)
def test_what_cannot_be_registered_leaves_nothing(arguments: tuple[str, ...], code: int, sentence: str) -> None:
    make_database(slug="taken")
    before = (Database.objects.count(), Application.objects.count(), AuditEvent.objects.count())
    ended, text = run(
        "add", "日本", "--application", "new", *(("--slug", "s") if "--slug" not in arguments else ()), *arguments
    )
    assert (ended, sentence in text, SECRET in text) == (code, True, False)
    assert (Database.objects.count(), Application.objects.count(), AuditEvent.objects.count()) == before


def test_a_name_without_latin_letters_asks_for_a_short_name() -> None:
    code, text = run("add", "日本", "--application", "a", "--path", "/x")
    assert (code, "--slug" in text) == (4, True)


def test_the_list_has_the_models_field_names(tmp_path: Path) -> None:
    sqlite_database(tmp_path / "a.db", slug="anime")
    (row,) = result("list")
    assert {"slug", "name", "application", "engine", "environment", "settings"} <= row.keys()
    assert "password" not in json.dumps(row)
    assert "anime" in run("list")[1]


def test_a_database_that_answers_is_tested_stage_by_stage(tmp_path: Path) -> None:
    sqlite_database(make_sqlite_file(tmp_path / "a.db"), slug="anime")
    (row,) = result("test", "anime")
    assert [stage["name"] for stage in row["stages"]] == ["Folder", "File", "Open and lock", "Tables"]
    assert row["ok"] is True


def test_a_database_that_does_not_answer_ends_with_two_and_names_the_stage(tmp_path: Path) -> None:
    sqlite_database(tmp_path / "none.db", slug="anime")
    code, text = run("test", "anime")
    assert (code, "✗ File" in text, "There is no file" in text) == (2, True, True)
    assert run("test", "unknown")[0] == 4


def test_the_decision_is_explained_with_the_winner_ticked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGHOST": "h", "PGPASSWORD": SECRET, "DB_HOST": "db", "DB_USER": "u", "DB_NAME": "n"}.items():
        monkeypatch.setenv(name, value)
    code, text = run("explain")
    assert (code, SECRET in text) == (0, False)
    assert "✓ 4. DB_*" in text
    assert "PGHOST=********" in text
    assert "Incomplete: PGUSER, PGDATABASE" in text
    (row,) = result("explain")
    assert [one["chosen"] for one in row["candidates"]] == [False, False, False, True]


def test_nothing_to_decide_ends_with_two_and_stored_fields_are_shown_masked() -> None:
    assert run("explain")[0] == 2
    database = make_database(slug="pg", engine="postgresql", settings={"host": "h", "name": "d"})
    database.password = SECRET
    database.save()
    code, text = run("explain", "pg")
    assert (code, "password=********" in text, SECRET in text) == (0, True, False)


def test_a_database_of_the_environment_follows_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PUBLIC_URL", f"postgresql://u:{SECRET}@first/d")
    assert run("add", "Live", "--application", "a", "--from-environment")[0] == 0
    database = Database.objects.get(slug="live")
    assert (database.settings, database.encrypted_password, database.connection().host) == ({}, "", "first")
    monkeypatch.setenv("DATABASE_PUBLIC_URL", "postgresql://u@second/d")
    assert database.connection().host == "second"
    assert "second" in run("explain", "live")[1]

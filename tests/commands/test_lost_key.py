"""Commands where the stored secrets cannot be read: each says so of its row, and they can be given again."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from dbadmin.models import AuditEvent, Storage
from tests.factories import make_database, make_storage
from tests.lost_key import SECRET, lose_key, make_cloud

pytestmark = pytest.mark.django_db
GIVEN = ("--secret-env", "secret_access_key=S3_SECRET")


def run(*arguments: str) -> tuple[int, str]:
    out, code = StringIO(), 0
    try:
        call_command(*arguments, stdout=out, stderr=out)
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    return code, out.getvalue()


def result(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json")[1])["results"]


@pytest.fixture
def locked(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A storage whose secrets were stored with another key."""
    storage = make_cloud()
    lose_key(settings)
    monkeypatch.setenv("S3_SECRET", "new")
    return storage


def test_the_list_has_all_and_marks_what_is_locked(locked: Storage) -> None:
    make_storage(name="Vault")
    code, said = run("storages", "list")
    assert code == 0
    [cloud, vault] = [line for line in said.splitlines() if line.startswith(("Cloud ", "Vault "))]
    assert " locked" in cloud
    assert " locked" not in vault
    assert "Cloud: the stored secrets cannot be read with the present encryption key." in said
    rows = {row["name"]: (row["secrets"], row["is_locked"]) for row in result("storages", "list")}
    assert rows == {"Cloud": (None, True), "Vault": ([], False)}


def test_one_is_shown(locked: Storage) -> None:
    code, said = run("storages", "show", "Cloud")
    assert code == 0
    assert "is_locked: True" in said
    assert "manage.py storages edit Cloud --secret-env" in said


def test_what_is_given_again_takes_the_place_of_all(locked: Storage) -> None:
    [row] = result("storages", "edit", "Cloud", *GIVEN)
    assert (row["secrets"], row["is_locked"]) == (["secret_access_key"], False)
    locked.refresh_from_db()
    assert locked.secrets == {"secret_access_key": "new"}
    assert run("storages", "show", "Cloud")[0] == 0


def test_what_is_needed_and_not_given_is_named(locked: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "new")
    code, said = run("storages", "edit", "Cloud", "--secret-env", "session_token=TOKEN")
    assert code == 4
    assert "Give again: secret_access_key." in said
    assert Storage.objects.get().encrypted_secrets == locked.encrypted_secrets


def test_they_are_forgotten(locked: Storage) -> None:
    assert run("storages", "edit", "Cloud", "--forget", "secret_access_key")[0] == 0
    assert Storage.objects.get().encrypted_secrets == ""


@pytest.mark.parametrize("change", [("--bandwidth-kb", "300"), ("--forget", "no_secret"), ("--rename", "Cloud")])
def test_who_changes_something_else_leaves_them_for_the_former_key(locked: Storage, change: tuple[str, ...]) -> None:
    code, said = run("storages", "edit", "Cloud", *change)
    assert code == 0
    assert "cannot be read" in said
    assert Storage.objects.get().encrypted_secrets == locked.encrypted_secrets


def test_another_address_wants_them(locked: Storage) -> None:
    assert run("storages", "edit", "Cloud", "--set", "bucket=other")[0] == 4
    assert run("storages", "edit", "Cloud", "--set", "bucket=other", *GIVEN)[0] == 0


def test_removing_it_is_no_failure(locked: Storage) -> None:
    assert run("storages", "remove", "Cloud", "--reason", "its key is lost")[0] == 0
    assert AuditEvent.objects.filter(action="storage.remove").exists()


def test_statistics_and_readiness_are_told(locked: Storage) -> None:
    for options in ((), ("--dr",)):
        code, said = run("backup", "stats", *options)
        assert code == 0
        assert "cannot be" not in said


def test_databases_are_listed_and_the_locked_ones_marked(settings: Any) -> None:
    locked, other = make_database(slug="shop", engine="postgresql"), make_database(slug="web")
    locked.password = SECRET
    locked.save()
    lose_key(settings)
    rows = {row["slug"]: row["is_locked"] for row in result("databases", "list")}
    assert rows == {"shop": True, other.slug: False}
    assert run("databases", "list")[1].count("(its password cannot be read)") == 1
    assert "cannot be read with the present encryption key" in run("databases", "explain", "shop")[1]

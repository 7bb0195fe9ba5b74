"""`storages scan`, `storages adopt` and `restore run --uri`, with a real S3 server."""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from dbadmin.backups.take import take_backup
from dbadmin.models import Backup, Copy, Storage
from dbadmin.progress import Silent
from tests.sqlite_file import make_sqlite_file, sqlite_database
from tests.storages.servers import S3Server
from tests.storages.servers import s3_server as s3_server

pytestmark = pytest.mark.django_db


def run(*argv: str) -> tuple[int, list[dict[str, Any]]]:
    out, code = StringIO(), 0
    try:
        call_command(*argv, "--json", stdout=out)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, json.loads(out.getvalue())["results"]


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Storage:
    storage = Storage(name="bucket", kind="s3", settings=s3_server.settings("lost"))
    storage.secrets = s3_server.secrets
    storage.save()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.settings()["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secrets["secret_access_key"])
    return storage


def test_scan_adopt_and_restore_by_address(tmp_path: Path, bucket: Storage) -> None:
    shop = sqlite_database(make_sqlite_file(tmp_path / "shop.db", rows=7), slug="shop")
    key = take_backup(database=shop, storages=[bucket], scope="full", progress=Silent()).key
    Copy.objects.all().delete()
    Backup.objects.all().delete()
    assert run("storages", "scan", "bucket")[1][0]["known"] is False
    settings = bucket.settings
    uri = f"s3://{settings['bucket']}/lost/{key}?endpoint={settings['endpoint']}&region=us-east-1"
    assert "secret" not in uri
    code, results = run("restore", "run", "--uri", uri, "--to-new", "back.db")
    assert (code, results[0]["restore"]["state"]) == (0, "exact")
    assert (tmp_path / "back.db").exists()
    assert [row["known"] for row in run("storages", "scan", "bucket")[1]] == [True]
    assert run("storages", "adopt", "bucket") == (0, [])


@pytest.fixture
def uri(tmp_path: Path, bucket: Storage) -> str:
    """The address of an archive that the catalogue does not know."""
    shop = sqlite_database(make_sqlite_file(tmp_path / "shop.db", rows=7), slug="shop")
    key = take_backup(database=shop, storages=[bucket], scope="full", progress=Silent()).key
    Copy.objects.all().delete()
    Backup.objects.all().delete()
    return f"s3://{bucket.settings['bucket']}/lost/{key}?endpoint={bucket.settings['endpoint']}"


def test_nothing_is_registered_before_the_archive_was_read(
    uri: str, bucket: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = bucket.secrets["secret_access_key"]
    Storage.objects.all().delete()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert run("restore", "run", "--uri", uri, "--to-new", "back.db") == (2, [])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", right)
    assert run("restore", "run", "--uri", uri.replace("/lost/", "/typo/"), "--to-new", "back.db") == (2, [])
    assert not Storage.objects.exists()
    assert run("restore", "run", "--uri", uri, "--to-new", "back.db")[0] == 0
    found = Storage.objects.get()
    assert (found.name, found.secrets) == ("Found 1", {"secret_access_key": right})


def test_another_name_of_a_registered_place_registers_nothing(uri: str, bucket: Storage) -> None:
    assert run("restore", "run", "--uri", uri.replace("127.0.0.1", "LocalHost"), "--to-new", "back.db")[0] == 0
    assert Storage.objects.get() == bucket
    assert Copy.objects.get().storage == bucket


@pytest.mark.parametrize("stored", ["wrong", None])
def test_secrets_of_the_environment_take_the_place_of_outdated_ones(
    uri: str, bucket: Storage, stored: str | None
) -> None:
    bucket.secrets = {"secret_access_key": stored} if stored else {}
    bucket.encrypted_secrets = bucket.encrypted_secrets or "written with a key that is lost"
    bucket.settings = bucket.settings | {"access_key_id": "AKIDFORMER"}
    bucket.save()
    assert run("restore", "run", "--uri", uri, "--to-new", "back.db")[0] == 0
    kept = Storage.objects.get()
    assert (kept.name, kept.secrets["secret_access_key"]) == ("bucket", os.environ["AWS_SECRET_ACCESS_KEY"])
    assert kept.settings["access_key_id"] == os.environ["AWS_ACCESS_KEY_ID"]


@pytest.mark.parametrize("given", ["wrong", ""])
def test_secrets_that_do_are_kept(uri: str, bucket: Storage, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Storage.objects.values().get()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given)
    assert run("restore", "run", "--uri", uri, "--to-new", "back.db")[0] == 0
    assert Storage.objects.values().get() == before


def test_of_two_wrong_secrets_the_given_one_is_told(uri: str, bucket: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.secrets = {"secret_access_key": "wrong too"}
    bucket.save()
    before = Storage.objects.values().get()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert run("restore", "run", "--uri", uri, "--to-new", "back.db") == (2, [])
    assert (Storage.objects.values().get(), Backup.objects.count()) == (before, 0)


def test_a_dump_in_a_bucket_is_imported(tmp_path: Path, bucket: Storage) -> None:
    sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")
    bucket.backend().write("old/dump.sqlite3", [make_sqlite_file(tmp_path / "old.db", rows=9).read_bytes()])
    settings = bucket.settings
    Storage.objects.all().delete()
    uri = f"s3://{settings['bucket']}/lost/old/dump.sqlite3?endpoint={settings['endpoint']}"
    code, results = run("restore", "run", "--uri", uri, "--server", "shop", "--to-new", "old_again.db")
    assert (code, results[0]["import"]["row_count"]) == (0, 9)
    assert not Storage.objects.exists()


@pytest.mark.parametrize(
    "uri",
    ["s3://bucket/some/folder?endpoint=http://127.0.0.1:9", "nowhere", "ftp://x/y.sql", "s3://[x/a.sql", "s3://[x/a"],
)
def test_an_address_that_is_none_is_a_sentence(uri: str, bucket: Storage) -> None:
    code, results = run("restore", "run", "--uri", uri, "--to-new", "x", "--server", "y")
    assert code in (2, 4)
    assert results == []


def test_a_place_that_is_not_there_is_told_from_one_that_is_no_archive(
    tmp_path: Path, bucket: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(uri: str) -> str:
        with pytest.raises(SystemExit, match="4"):
            call_command("restore", "run", "--uri", uri, "--to-new", "x")
        return capsys.readouterr().err

    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "notes.txt").write_text("x")
    assert f"There is nothing at “file://{tmp_path}/nowhere”." in said(f"file://{tmp_path}/nowhere")
    assert "neither an archive's folder nor a dump" in said(f"file://{tmp_path}/there")
    endpoint = f"?endpoint={bucket.settings['endpoint']}"
    assert "“s3://no-such-bucket/x/y” could not be looked into: " in said(f"s3://no-such-bucket/x/y{endpoint}")
    assert "There is nothing at" in said(f"s3://{bucket.settings['bucket']}/x/y{endpoint}")


@pytest.mark.parametrize("uri", ["http://x/y", "ftp://x/y.sql", "https://x/shop/20250101T000000Z-full-aa"])
def test_a_scheme_nobody_knows_is_named_with_those_that_are_known(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("restore", "run", "--uri", uri, "--to-new", "x")
    said = capsys.readouterr().err
    assert (ended.value.code, f"“{uri.partition(':')[0]}://”" in said, "s3://, gs://" in said) == (4, True, True)

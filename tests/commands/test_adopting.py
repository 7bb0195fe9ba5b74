"""`storages scan`, `storages adopt` and `restore run --uri`, with a real S3 server."""

from __future__ import annotations

import json
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


def test_a_dump_in_a_bucket_is_imported(tmp_path: Path, bucket: Storage) -> None:
    sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")
    bucket.backend().write("old/dump.sqlite3", [make_sqlite_file(tmp_path / "old.db", rows=9).read_bytes()])
    settings = bucket.settings
    uri = f"s3://{settings['bucket']}/lost/old/dump.sqlite3?endpoint={settings['endpoint']}"
    code, results = run("restore", "run", "--uri", uri, "--server", "shop", "--to-new", "old_again.db")
    assert (code, results[0]["import"]["row_count"]) == (0, 9)


@pytest.mark.parametrize("uri", ["s3://bucket/some/folder", "nowhere", "ftp://x/y.sql"])
def test_an_address_that_is_none_is_a_sentence(uri: str, bucket: Storage) -> None:
    code, results = run("restore", "run", "--uri", uri, "--to-new", "x", "--server", "y")
    assert code in (2, 4)
    assert results == []


@pytest.mark.parametrize("uri", ["http://x/y", "ftp://x/y.sql", "https://x/shop/20250101T000000Z-full-aa"])
def test_a_scheme_nobody_knows_is_named_with_those_that_are_known(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("restore", "run", "--uri", uri, "--to-new", "x")
    said = capsys.readouterr().err
    assert (ended.value.code, f"“{uri.partition(':')[0]}://”" in said, "s3://, gs://" in said) == (4, True, True)

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from dbadmin.backups import spool
from dbadmin.jobs.execution import run_now
from dbadmin.models import AuditEvent, Database, Import, Job
from tests.sqlite_file import make_sqlite_file, sqlite_database


@pytest.fixture(autouse=True)
def no_uploads() -> Iterator[None]:
    yield
    for folder in folders():
        shutil.rmtree(folder)


@pytest.fixture
def server(db: None, tmp_path: Path) -> Database:
    (tmp_path / "data").mkdir()
    return sqlite_database(make_sqlite_file(tmp_path / "data" / "shop.db"), slug="shop")


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return make_sqlite_file(tmp_path / "old.db", rows=7).read_bytes()


def upload(client: Client, content: bytes, name: str = "old shop.db") -> Any:
    return client.post(reverse("import-upload"), {"file": SimpleUploadedFile(name, content)}, follow=True)


def folders() -> list[Path]:
    return list(spool.root().glob("upload-*"))


def test_from_upload_to_report(admin: Client, server: Database, content: bytes, tmp_path: Path) -> None:
    page = upload(admin, content)
    assert "A SQLite database." in page.content.decode()
    assert 'value="old_shop.sqlite3"' in page.content.decode()
    row = Import.objects.get()
    asked = {"server": "shop", "target": "copy.db"}
    assert "Import into copy.db" in admin.get(row.get_absolute_url(), asked).content.decode()
    started = admin.post(reverse("import-start", args=[row.pk]), asked | {"reason": "Ticket 8"})
    job = Job.objects.get(kind="import")
    assert started.url == job.get_absolute_url()
    assert AuditEvent.objects.get(action="import.run").reason == "Ticket 8"
    run_now(job)
    report = admin.get(row.get_absolute_url()).content.decode()
    assert "Imported: 1 table, 7 rows" in report
    assert f"sqlite3 {tmp_path}/data/copy.db" in report
    assert "Register this database" in report
    assert folders() == []


def test_a_registered_import_is_offered_for_backup(admin: Client, server: Database, content: bytes) -> None:
    upload(admin, content)
    path = server.settings["path"]
    Import.objects.update(state="imported", target=path)
    assert "Back up now" in admin.get(Import.objects.get().get_absolute_url()).content.decode()


def test_what_is_no_dump_is_said_and_removed(admin: Client, server: Database) -> None:
    assert "no database dump that dbadmin knows" in upload(admin, b"hello", "backup.dump").content.decode()
    assert not Import.objects.exists()
    assert folders() == []


def test_an_upload_has_a_limit(
    admin: Client, server: Database, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "UPLOAD_LIMIT_MB", 0)
    assert "larger than 0 MB" in upload(admin, content).content.decode()  # found while reading
    assert "larger than 0 MB" in upload(admin, bytes(2 << 20)).content.decode()  # said beforehand
    assert folders() == []


def test_an_upload_without_a_file_is_a_sentence(admin: Client, server: Database) -> None:
    assert "No file was chosen." in admin.post(reverse("import-upload"), follow=True).content.decode()
    assert folders() == []


def test_an_upload_of_another_site_is_refused_and_not_kept(server: Database, admin: Client, content: bytes) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = admin.cookies
    assert upload(strict, content).status_code == 403
    assert not Import.objects.exists()
    assert folders() == []


def test_names_of_files_are_only_words(admin: Client, server: Database, content: bytes) -> None:
    upload(admin, content, "../../etc/passwd")
    assert Path(Import.objects.get().path).parent.parent == spool.root()
    assert Import.objects.get().file_name == "passwd"


@pytest.mark.parametrize("target", ["shop.db", "../evil.db", "/etc/evil.db", "a/b.db"])
def test_a_bad_name_starts_nothing(admin: Client, server: Database, content: bytes, target: str) -> None:
    upload(admin, content)
    start = reverse("import-start", args=[Import.objects.get().pk])
    assert admin.post(start, {"server": "shop", "target": target}).status_code == 302
    assert not Job.objects.exists()


def test_a_found_file_is_chosen_and_stays(
    admin: Client, server: Database, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "old.db").write_bytes(content)
    monkeypatch.setattr(settings, "IMPORT_FOLDERS", [str(folder)])
    assert str(folder / "old.db") in admin.get(reverse("imports")).content.decode()
    page = admin.post(reverse("import-choose"), {"path": str(folder / "old.db")}, follow=True)
    assert "Where shall it go?" in page.content.decode()
    refused = admin.post(reverse("import-choose"), {"path": str(tmp_path / "old.db")}, follow=True)
    assert "is not in a folder that files may be imported from" in refused.content.decode()
    assert Import.objects.count() == 1


def test_only_admins_import(viewer: Client, operator: Client, server: Database, content: bytes) -> None:
    for client in (viewer, operator):
        assert upload(client, content).status_code == 403
    assert folders() == []

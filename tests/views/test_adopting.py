"""What lies in a storage and the catalogue does not know is listed, and adopted on demand."""

from __future__ import annotations

import json
import os
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups import uploads
from dbadmin.backups.adopt import adopt, adopt_all, scan
from dbadmin.backups.expire import expire
from dbadmin.backups.reconcile import reconcile
from dbadmin.backups.take import take_backup
from dbadmin.backups.verify import verify_backup
from dbadmin.choices import BackupState, JobKind
from dbadmin.exceptions import CorruptArchive, KeyMissing, Refused
from dbadmin.models import Application, AuditEvent, Backup, Copy, Database, EncryptionKey, Import, Job, Orphan, Storage
from dbadmin.progress import Silent
from tests.backups.files import flip_a_byte
from tests.factories import make_retention, make_storage
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return make_storage(tmp_path / "away")


def take(tmp_path: Path, storage: Storage) -> Backup:
    database = Database.objects.filter(slug="shop").first()
    database = database or sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")
    return take_backup(database=database, storages=[storage], scope="full", progress=Silent())


def forget(*, databases: bool = False) -> None:
    Copy.objects.all().delete()
    Backup.objects.all().delete()
    if databases:
        Database.objects.all().delete()
        Application.objects.all().delete()


def test_a_lost_catalogue_is_made_again_of_what_lies_there(tmp_path: Path, storage: Storage, admin: Client) -> None:
    taken = take(tmp_path, storage)
    facts, key = taken.facts, taken.key
    forget(databases=True)
    page = admin.get(reverse("storage-adopt", args=[storage.pk])).content.decode()
    assert key in page
    answer = admin.post(reverse("storage-adopt", args=[storage.pk]), {"all": "1"}, follow=True)
    assert "1 archive was adopted" in answer.content.decode()
    backup = Backup.objects.get()
    assert (backup.key, backup.facts, backup.state) == (key, facts, BackupState.AVAILABLE)
    assert backup.database.removed_at is not None  # nobody knows how to reach it yet
    assert AuditEvent.objects.filter(action="backup.adopt").count() == 1
    verify_backup(backup, Silent())
    assert [found.is_known for found in scan(storage)] == [True]


def test_the_same_archive_in_another_storage_becomes_a_copy(tmp_path: Path, storage: Storage) -> None:
    backup = take(tmp_path, storage)
    other = make_storage(tmp_path / "other")
    (tmp_path / "away").rename(tmp_path / "other")
    Orphan.objects.create(storage=other, key=backup.key, size=1)
    assert adopt(other, backup.key, actor=audit.SYSTEM) == backup
    assert {copy.storage for copy in backup.copies.all()} == {storage, other}
    assert not Orphan.objects.exists()


def test_another_archive_under_a_known_key_is_refused(tmp_path: Path, storage: Storage) -> None:
    first = take(tmp_path, storage)
    with sqlite3.connect(tmp_path / "shop.db") as db:
        db.execute("INSERT INTO releases (title) VALUES ('later')")
    second = take(tmp_path, storage)
    other = make_storage(tmp_path / "other")
    strange = tmp_path / "other" / first.key
    strange.parent.mkdir(parents=True)
    (tmp_path / "away" / second.key).rename(strange)
    with pytest.raises(Refused, match="another backup under"):
        adopt(other, first.key, actor=audit.SYSTEM)
    assert Copy.objects.filter(storage=other).count() == 0


def test_debris_and_damage_are_named_and_the_rest_is_adopted(tmp_path: Path, storage: Storage) -> None:
    keys = [take(tmp_path, storage).key for _ in range(4)]
    forget()
    folders = [tmp_path / "away" / key for key in keys]
    (folders[0] / "manifest.json").unlink()  # an interrupted upload: nothing to adopt
    (folders[1] / "manifest.json").write_text("{")
    (folders[2] / "backup.tar").write_bytes(b"short")
    adopted, failed = adopt_all(storage, actor=audit.SYSTEM, progress=Silent())
    assert [backup.key for backup in adopted] == [keys[3]]
    assert {key: type(error) for key, error in failed} == {keys[1]: CorruptArchive, keys[2]: CorruptArchive}


def test_what_was_adopted_counts_once_it_was_read(tmp_path: Path, storage: Storage, admin: Client) -> None:
    """The newest is rotten, which nobody can know from its manifest and size."""
    taken = [take(tmp_path, storage).key for _ in range(5)]
    forget()
    flip_a_byte(tmp_path / "away" / taken[4] / "backup.tar")
    storage.retention = make_retention(last=1, daily=0)
    storage.save()
    admin.post(reverse("storage-adopt", args=[storage.pk]), {"all": "1"})
    database = Database.objects.get(slug="shop")
    assert "could not be brought back: there is no verified backup" in admin.get("/").content.decode()
    at = timezone.now() + timedelta(hours=1)
    assert expire(database=database, progress=Silent(), now=at).deleted == 0
    assert Job.objects.get(kind=JobKind.RECONCILE).database == database
    reconcile(database=database, progress=Silent())
    states = [(copy.state, bool(copy.verified_at)) for copy in Copy.objects.order_by("backup__finished_at")]
    assert states == [("stored", False)] * 2 + [("stored", True)] * 2 + [("damaged", False)]
    assert "Your database can be brought back" in admin.get("/").content.decode()
    reconcile(database=database, progress=Silent())
    assert not Copy.objects.filter(state="stored", verified_at=None).exists()


def test_an_archive_whose_key_is_missing_says_so(tmp_path: Path, storage: Storage) -> None:
    from dbadmin.archives.age import new_identity

    identity, recipient = new_identity()
    key = EncryptionKey.objects.create(name="away", recipient=recipient)
    storage.keys.add(key)
    taken = take(tmp_path, storage).key
    forget()
    with pytest.raises(KeyMissing):
        adopt(storage, taken, actor=audit.SYSTEM)
    key.identity = identity
    key.save()
    assert adopt(storage, taken, actor=audit.SYSTEM).copies.get().recipients == [recipient]


def test_an_archive_of_another_kind_does_not_become_a_registered_databases(tmp_path: Path, storage: Storage) -> None:
    key = take(tmp_path, storage).key
    forget()
    Database.objects.filter(slug="shop").update(engine="files")
    with pytest.raises(Refused, match="registered as files"):
        adopt(storage, key, actor=audit.SYSTEM)


def test_a_plain_dump_is_fetched_and_asked_about(tmp_path: Path, storage: Storage, admin: Client) -> None:
    (tmp_path / "away").mkdir()
    make_sqlite_file(tmp_path / "away" / "old.sqlite3")
    (tmp_path / "away" / "junk.sql.gz").write_bytes(b"\0\1junk")
    url = reverse("storage-adopt", args=[storage.pk])
    assert "old.sqlite3" in admin.get(url).content.decode()
    answer = admin.post(url, {"fetch": "old.sqlite3"})
    assert answer["Location"] == Import.objects.get().get_absolute_url()
    assert admin.post(url, {"fetch": "junk.sql.gz"}, follow=True).status_code == 200
    assert admin.post(url, {"fetch": "../../etc/passwd"}, follow=True).status_code == 200
    assert Import.objects.count() == 1
    uploads.discard(Path(Import.objects.get().path))


def test_a_storage_that_is_away_is_a_sentence(tmp_path: Path, admin: Client) -> None:
    (tmp_path / "file").write_text("no folder")
    storage = make_storage(tmp_path / "file" / "in")
    page = admin.get(reverse("storage-adopt", args=[storage.pk]))
    assert page.status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("database", "../<script>alert(1)</script>"),
        ("database", ""),
        ("database", "x" * 51),
        ("scope", "<b>"),
        ("started_at", "2999-01-01T00:00:00+00:00"),
    ],
)
def test_a_hostile_manifest_is_refused_and_harms_no_page(
    tmp_path: Path, storage: Storage, admin: Client, field: str, value: str
) -> None:
    path = tmp_path / "away" / take(tmp_path, storage).key / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    forget()
    adopted, failed = adopt_all(storage, actor=audit.SYSTEM, progress=Silent())
    assert not adopted
    assert [type(error) for _key, error in failed] == [Refused]
    assert not Backup.objects.exists()
    assert admin.get(storage.get_absolute_url()).status_code == 200


def test_a_name_that_is_no_text_is_left_out(tmp_path: Path, storage: Storage, admin: Client) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / os.fsdecode(b"bad\xff.sql")).write_text("SELECT 1;")
    assert admin.get(reverse("storage-adopt", args=[storage.pk])).status_code == 200


def test_an_application_may_have_another_short_name_by_now(tmp_path: Path, storage: Storage) -> None:
    slug = take(tmp_path, storage).database.application.slug
    forget(databases=True)
    Application.objects.create(name=slug, slug="renamed")
    adopted, failed = adopt_all(storage, actor=audit.SYSTEM, progress=Silent())
    assert not failed
    assert adopted[0].database.application.slug == "renamed"


def test_a_link_to_our_own_files_is_not_followed(tmp_path: Path, storage: Storage, admin: Client) -> None:
    own = Path(settings.HOME) / "own.sqlite3"
    make_sqlite_file(own)
    try:
        (tmp_path / "away").mkdir()
        (tmp_path / "away" / "old.sqlite3").symlink_to(own)
        answer = admin.post(reverse("storage-adopt", args=[storage.pk]), {"fetch": "old.sqlite3"}, follow=True)
        assert "belongs to dbadmin or to the kernel" in answer.content.decode()
    finally:
        own.unlink()
    assert not Import.objects.exists()


@pytest.mark.parametrize("time", ["99991399T996199Z", "00000101T000000Z", "20250230T000000Z"])
def test_a_folder_with_an_impossible_date_is_one_we_do_not_know(
    tmp_path: Path, storage: Storage, admin: Client, time: str
) -> None:
    taken = take(tmp_path, storage).key
    forget()
    strange = f"x/{time}-full-aaaaaaba"
    (tmp_path / "away" / strange).mkdir(parents=True)
    (tmp_path / "away" / strange / "manifest.json").write_text("{}")
    assert {each.key: each.taken_at is None for each in scan(storage)} == {strange: True, taken: False}
    assert strange in admin.get(reverse("storage-adopt", args=[storage.pk])).content.decode()
    adopted, failed = adopt_all(storage, actor=audit.SYSTEM, progress=Silent())
    assert ([each.key for each in adopted], [key for key, _error in failed]) == ([taken], [strange])

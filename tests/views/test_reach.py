"""What pages say while the newest backup lies in a storage that cannot be read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dbadmin.models import Backup, Copy, Database, Storage
from tests.factories import make_backup, make_database, make_storage
from tests.views.test_overview import page, seal

CUT_OFF = "cannot be brought back until"
NEWER = "A newer backup, of"


@pytest.fixture
def vault(db: None) -> Storage:
    return make_storage(name="Vault")


def shown(client: Client, database: Database) -> str:
    return client.get(database.get_absolute_url()).content.decode()


def away(*storages: Storage) -> None:
    Storage.objects.filter(pk__in=[each.pk for each in storages]).update(is_away=True)


def in_both(backup: Backup, other: Storage) -> None:
    Copy.objects.create(backup=backup, storage=other, state="stored", verified_at=timezone.now())


def test_what_lies_only_where_nothing_answers_cannot_be_brought_back(viewer: Client, vault: Storage) -> None:
    backup = make_backup(storage=vault)
    make_backup()
    assert "All 2 databases can be brought back" in page(viewer)
    away(vault)
    html = page(viewer)
    assert "1 of 2 databases cannot be brought back until its storage can be read again." in html
    assert "The newest backup of 1 database is only in “Vault”, which cannot be read now." in html
    assert html.count("only in “Vault”, which cannot be read now") == 2
    sentence = f"{backup.database} cannot be brought back until “Vault” can be read again</h1>"
    assert sentence in shown(viewer, backup.database)
    assert NEWER not in shown(viewer, backup.database)
    for path in ("/", backup.database.get_absolute_url()):
        assert '“Vault”, which cannot be read now. <a href="/storages/">' in viewer.get(path).content.decode()


def test_a_copy_that_cannot_be_read_now_says_so(viewer: Client, vault: Storage) -> None:
    backup = make_backup(storage=vault)
    in_both(backup, make_storage())
    said = f'Its storage cannot be read now. <a href="{vault.get_absolute_url()}">'
    assert said not in viewer.get(backup.get_absolute_url()).content.decode()
    away(vault)
    assert viewer.get(backup.get_absolute_url()).content.decode().count(said) == 1


def test_a_copy_elsewhere_is_enough(viewer: Client, vault: Storage) -> None:
    backup = make_backup(storage=vault)
    in_both(backup, make_storage(name="Attic"))
    away(vault)
    assert "Your database can be brought back. At most" in page(viewer)
    assert f"{backup.database} can be brought back as it was" in shown(viewer, backup.database)
    away(*Storage.objects.all())
    assert CUT_OFF in page(viewer)
    assert "until one of “Attic”, “Vault” can be read again" in shown(viewer, backup.database)


def test_a_copy_elsewhere_that_nobody_has_read_is_not(viewer: Client, vault: Storage) -> None:
    backup = make_backup(storage=vault)
    in_both(backup, make_storage())
    backup.copies.exclude(storage=vault).update(verified_at=None)
    away(vault)
    assert CUT_OFF in page(viewer)


def test_an_older_backup_elsewhere_is_what_would_be_lost_back_to(admin: Client, vault: Storage) -> None:
    database = make_database()
    older = make_backup(database=database, finished_at=timezone.now() - timedelta(hours=5))
    newer = make_backup(database=database, storage=vault, finished_at=timezone.now() - timedelta(hours=1))
    assert reverse("restore-new", args=[newer.pk]) in shown(admin, database)
    away(vault)
    assert "Your database can be brought back. At most 5 hours of changes would be lost." in page(admin)
    html = shown(admin, database)
    assert "can be brought back as it was 5 hours ago</h1>" in html
    assert f"{NEWER} " in html
    assert reverse("restore-new", args=[older.pk]) in html


def test_the_key_is_that_of_what_is_at_hand(viewer: Client, vault: Storage) -> None:
    backup = make_backup(storage=vault)
    elsewhere = make_storage()
    in_both(backup, elsewhere)
    seal(backup, "Main")
    backup.copies.filter(storage=vault).update(recipients=[])
    assert "key file" not in page(viewer)
    away(vault)
    assert "only with a key file" in page(viewer)
    assert "with the key file of “Main”</h1>" in shown(viewer, backup.database)

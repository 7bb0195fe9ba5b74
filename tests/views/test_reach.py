"""What pages say while the newest backup lies in a storage that cannot be read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dbadmin.backups.keys import require_key
from dbadmin.backups.preflight import look_ahead
from dbadmin.backups.reading import candidates
from dbadmin.choices import Verdict
from dbadmin.models import Backup, Copy, Database, Storage
from dbadmin.text import Text
from tests.factories import make_backup, make_database, make_storage
from tests.views.test_overview import page, seal

CUT_OFF = "cannot be brought back until"
NEWER = "A newer backup ("


@pytest.fixture
def vault(db: None) -> Storage:
    return make_storage(name="Vault")


def shown(client: Client, database: Database) -> str:
    return client.get(database.get_absolute_url()).content.decode()


def link(storage: Storage) -> str:
    return f'<a href="{storage.get_absolute_url()}">{storage}</a>'


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
    assert f"The newest backup of 1 database is only where it cannot be read now: {link(vault)}" in html
    assert html.count(link(vault)) == 2
    sentence = f"{backup.database} cannot be brought back until “Vault” can be read again</h1>"
    assert sentence in shown(viewer, backup.database)
    assert NEWER not in shown(viewer, backup.database)
    assert f"is only where it cannot be read now: {link(vault)}" in shown(viewer, backup.database)


def test_the_list_of_databases_says_it_of_each(viewer: Client, vault: Storage) -> None:
    make_backup(storage=vault)
    make_backup()
    url = reverse("databases")
    assert link(vault) not in viewer.get(url).content.decode()
    away(vault)
    assert viewer.get(url).content.decode().count(f"only where it cannot be read now: {link(vault)}") == 1


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
    assert "at hand:" in page(admin)
    html = shown(admin, database)
    assert "can be brought back as it was 5 hours ago</h1>" in html
    assert NEWER in html
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


def test_pages_ask_for_the_key_file_of_what_is_at_hand(admin: Client, vault: Storage) -> None:
    backup = make_backup(storage=vault)
    in_both(backup, make_storage())
    seal(backup, "Main")
    backup.copies.filter(storage=vault).update(recipients=[])
    path = backup.get_absolute_url()
    assert 'type="file"' not in admin.get(path).content.decode()
    away(vault)
    assert 'type="file"' in admin.get(path).content.decode()
    ahead = look_ahead(backup=backup, beside=backup.database, target_name="copy", keep_owners=False)
    assert (ahead.items[0].verdict, "Choose the key file" in str(ahead.items[0].hint)) == (Verdict.UNKNOWN, True)
    require_key(backup)  # it may have come back since


def test_what_is_at_hand_and_too_old_is_said(viewer: Client, vault: Storage) -> None:
    database = make_database()
    make_backup(database=database, finished_at=timezone.now() - timedelta(days=5))
    make_backup(database=database, storage=vault)
    assert "No backup is older than it may be" in page(viewer)
    away(vault)
    assert "1 older than it may be" in page(viewer)


def test_what_has_no_backup_and_what_is_cut_off_are_counted_together(viewer: Client, vault: Storage) -> None:
    make_backup(storage=vault)
    away(vault)
    assert "Your database cannot be brought back until its storage can be read again." in page(viewer)
    make_database()
    said = "2 of 2 databases cannot be brought back now: 1 without a verified backup, 1 only in storages that cannot"
    assert said in page(viewer)


def test_a_storage_off_the_dashboard_can_be_tested_and_is_tried_when_it_is_put_back(
    admin: Client, tmp_path: Path
) -> None:
    storage = make_storage(tmp_path, is_away=True, problem=Text("The disk is gone."), removed_at=timezone.now())
    assert reverse("storage-test", args=[storage.pk]) in admin.get(storage.get_absolute_url()).content.decode()
    admin.post(reverse("storage-test", args=[storage.pk]))
    assert not Storage.objects.get().is_away
    Storage.objects.update(is_away=True)
    admin.post(reverse("storage-return", args=[storage.pk]))
    assert [(each.removed_at, each.is_away) for each in Storage.objects.all()] == [(None, False)]


def test_what_is_read_first_is_not_where_nothing_answers(admin: Client, vault: Storage, tmp_path: Path) -> None:
    backup = make_backup(storage=vault)
    other = make_storage(tmp_path)
    in_both(backup, other)
    away(vault)
    assert [copy.storage for copy in candidates(backup)] == [other, vault]
    html = admin.get(backup.get_absolute_url()).content.decode()
    assert f"cd {tmp_path}/{backup.key}" in html
    assert "this one is read" not in html


def test_an_empty_place_that_is_away_is_not_called_deleted(admin: Client, vault: Storage) -> None:
    backup = make_backup(storage=vault)
    Storage.objects.update(is_away=True, problem=Text("The disk is gone."))
    html = admin.get(backup.get_absolute_url()).content.decode()
    assert "“Vault” could not be read when it was last looked into: The disk is gone." in html
    assert "moved or deleted outside dbadmin" not in html

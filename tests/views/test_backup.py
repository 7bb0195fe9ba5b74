from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from dbadmin.backups import copies
from dbadmin.exceptions import StorageError
from dbadmin.jobs.execution import run_now
from dbadmin.models import Backup, Job
from dbadmin.text import Text
from tests.backups.files import flip_a_byte, stored
from tests.factories import make_backup, make_copy, make_database, make_storage


def page(client: Client, backup: Backup, **query: Any) -> str:
    response = client.get(backup.get_absolute_url(), query)
    assert response.status_code == 200
    return response.content.decode()


def test_it_shows_facts_members_and_hashes(viewer: Client, backup: Backup) -> None:
    shown = page(viewer, backup)
    assert backup.sha256 in shown
    assert "database.sqlite3.zst" in shown
    for table in backup.measured().tables:
        assert table in shown


def test_it_tells_how_to_restore_without_us(viewer: Client, backup: Backup) -> None:
    shown = page(viewer, backup)
    folder = Path(backup.storage.settings["path"]) / backup.key
    assert f"cd {folder}" in shown
    assert "tar -xf backup.tar" in shown
    assert "zstd -d database.sqlite3.zst -o shop_restored.sqlite3" in shown


def test_a_postgresql_backup_names_the_client_and_no_secret(viewer: Client) -> None:
    database = make_database(engine="postgresql", settings={"name": "camp'; rm -rf", "user": "u"})
    database.password = "hunter2"
    database.save()
    shown = page(viewer, make_backup(database=database, client_version="16.15"))
    assert "Restore with pg_restore 16.15." in shown
    assert "createdb &#x27;camp&#x27;&quot;&#x27;&quot;&#x27;; rm -rf_restored&#x27;" in shown
    assert "hunter2" not in shown


def test_a_storage_that_does_not_answer_is_a_sentence_and_not_a_failure(viewer: Client, backup: Backup) -> None:
    shutil.rmtree(backup.storage.settings["path"])
    assert "The storage has no “" in page(viewer, backup)


def test_tables_can_be_searched_when_there_are_many(viewer: Client) -> None:
    backup = make_backup(facts={"tables": {f"public.t{number}": number for number in range(500)}})
    assert "and 300 more" in page(viewer, backup)
    found = page(viewer, backup, tables="T499")
    assert "public.t499" in found
    assert "public.t7<" not in found


def test_buttons_are_only_for_those_who_may(viewer: Client, operator: Client, admin: Client, backup: Backup) -> None:
    buttons = [reverse(name, args=[backup.pk]) for name in ("backup-verify", "restore-new", "backup-download")]

    def offered(client: Client) -> list[bool]:
        return [f'"{url}"' in page(client, backup) for url in buttons]

    assert offered(viewer) == [False, False, False]
    assert offered(operator) == [True, False, False]
    assert offered(admin) == [True, True, True]


def test_a_deleted_backup_offers_nothing(admin: Client, backup: Backup) -> None:
    Backup.objects.update(state="deleted")
    shown = page(admin, backup)
    assert "The archive of this backup was deleted." in shown
    assert reverse("restore-new", args=[backup.pk]) not in shown


@pytest.mark.django_db(transaction=True)
def test_a_damaged_archive_is_found_and_shown(operator: Client, backup: Backup) -> None:
    flip_a_byte(stored(backup, "backup.tar"))
    response = operator.post(reverse("backup-verify", args=[backup.pk]))
    job = run_now(Job.objects.get())
    assert response.headers["Location"] == job.get_absolute_url()
    assert "The archive does not match its manifest." in str(job.message)
    shown = page(operator, backup)
    assert "The archive does not match its manifest." in shown
    assert "The stored archive is not what was stored." in shown
    assert Backup.objects.get().state == "damaged"


def test_viewers_do_not_verify(viewer: Client, operator: Client, backup: Backup) -> None:
    assert viewer.post(reverse("backup-verify", args=[backup.pk])).status_code == 403
    assert operator.get(reverse("backup-verify", args=[backup.pk])).status_code == 405


def test_one_that_is_not_there_is_not_found(viewer: Client) -> None:
    assert viewer.get(reverse("backup", args=[7])).status_code == 404


@pytest.fixture
def partial(backup: Backup) -> Backup:
    copy = make_copy(backup=backup, storage=make_storage(name="Bucket"), state="waiting")
    copies.has_failed(copy, StorageError(Text("The bucket does not answer.")))
    return backup


def test_copies_are_shown_with_what_they_lack(viewer: Client, operator: Client, partial: Backup) -> None:
    shown = page(viewer, partial)
    for word in ("Bucket", "1 missing", "The bucket does not answer.", "next try", "this one is read"):
        assert word in shown
    assert "Copy now" not in shown
    assert "Copy now" in page(operator, partial)
    assert "1 copy has not arrived" in viewer.get(reverse("backups")).content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_missing_copy_is_made_now(operator: Client, partial: Backup) -> None:
    response = operator.post(reverse("backup-copy", args=[partial.pk]))
    job = run_now(Job.objects.get())
    assert response.headers["Location"] == job.get_absolute_url()
    assert (job.state, str(job.message)) == ("succeeded", "Copies stored: 1.")
    assert "1 missing" not in page(operator, partial)


@pytest.mark.django_db(transaction=True)
def test_one_copy_can_be_verified_alone(operator: Client, partial: Backup) -> None:
    copy = partial.copies.get(state="stored")
    assert operator.post(reverse("backup-verify", args=[partial.pk]), {"copy": "999"}).status_code == 404
    operator.post(reverse("backup-verify", args=[partial.pk]), {"copy": copy.pk})
    assert run_now(Job.objects.get()).state == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_a_copy_can_be_added_in_another_storage(operator: Client, backup: Backup) -> None:
    third = make_storage(name="Third")
    assert "Copy it to one more storage" in page(operator, backup)
    operator.post(reverse("backup-copy", args=[backup.pk]), {"storage": third.pk})
    run_now(Job.objects.get())
    assert backup.copies.get(storage=third).state == "stored"
    refused = operator.post(reverse("backup-copy", args=[backup.pk]), {"storage": third.pk}, follow=True)
    assert "has, or had, a copy" in refused.content.decode()

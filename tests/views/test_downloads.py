from __future__ import annotations

import hashlib

import pytest
from django.test import Client
from django.urls import reverse

from dbadmin.models import AuditEvent, Backup
from tests.backups.files import spools, stored


def test_the_archive_comes_as_it_is_stored(admin: Client, backup: Backup) -> None:
    response = admin.get(reverse("backup-download", args=[backup.pk]))
    content = b"".join(response.streaming_content)
    assert hashlib.sha256(content).hexdigest() == backup.sha256
    assert int(response["Content-Length"]) == len(content)
    assert response["Content-Disposition"].startswith('attachment; filename="shop-')


def test_a_download_is_recorded(admin: Client, backup: Backup) -> None:
    admin.get(reverse("backup-download", args=[backup.pk]))
    event = AuditEvent.objects.get(action="backup.download")
    assert (event.actor, event.object_id) == ("admin", str(backup.pk))


@pytest.mark.parametrize("name", ["backup-download", "backup-sql"])
def test_only_admins_download(viewer: Client, operator: Client, admin: Client, backup: Backup, name: str) -> None:
    url = reverse(name, args=[backup.pk])
    assert viewer.get(url).status_code == operator.get(url).status_code == 403
    assert admin.post(url).status_code == admin.head(url).status_code == 405
    assert not AuditEvent.objects.filter(action="backup.download").exists()


def test_a_missing_archive_is_said_on_the_page_of_the_backup(admin: Client, backup: Backup) -> None:
    stored(backup, "backup.tar").unlink()
    response = admin.get(reverse("backup-download", args=[backup.pk]), follow=True)
    assert response.redirect_chain == [(backup.get_absolute_url(), 302)]
    assert "The storage has no archive" in response.content.decode()


def test_sql_comes_and_leaves_nothing_behind(admin: Client, backup: Backup) -> None:
    before = spools()
    response = admin.get(reverse("backup-sql", args=[backup.pk]))
    content = b"".join(response.streaming_content).decode()
    response.close()
    assert "CREATE TABLE" in content
    assert spools() == before


def test_a_reader_who_never_reads_leaves_nothing_behind(admin: Client, backup: Backup) -> None:
    before = spools()
    admin.get(reverse("backup-sql", args=[backup.pk])).close()
    assert spools() == before

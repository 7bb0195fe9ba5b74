"""From the web, files are restored near the originals and where the settings allow."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from dbadmin.backups.restore import restore_backup
from dbadmin.exceptions import Refused
from dbadmin.models import Backup, Job
from dbadmin.progress import Silent
from tests.factories import make_job


def start(client: Client, backup: Backup, target: Path) -> str:
    form = {"server": "shop", "target": str(target)}
    page = client.post(reverse("restore-new", args=[backup.pk]), form, follow=True)
    return page.content.decode()


def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere") / "copy.db"


def test_another_folder_is_refused_with_what_to_do(
    admin: Client, backup: Backup, tmp_path_factory: pytest.TempPathFactory
) -> None:
    page = start(admin, backup, elsewhere(tmp_path_factory))
    assert "From the web nothing is restored to" in page
    assert "DBADMIN_RESTORE_FOLDERS" in page
    assert not Job.objects.exists()


def test_a_link_does_not_lead_out(
    admin: Client, backup: Backup, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "link").symlink_to(elsewhere(tmp_path_factory).parent)
    assert "From the web nothing is restored to" in start(admin, backup, tmp_path / "link" / "copy.db")


def test_near_the_original_and_in_listed_folders_it_starts(
    admin: Client, backup: Backup, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, settings: Settings
) -> None:
    start(admin, backup, tmp_path / "copy.db")
    assert Job.objects.filter(state="queued").update(state="cancelled") == 1
    target = elsewhere(tmp_path_factory)
    settings.RESTORE_FOLDERS = [str(target.parent)]
    start(admin, backup, target)
    assert Job.objects.filter(state="queued").count() == 1


def test_the_worker_looks_again_and_the_shell_may_use_any_path(
    backup: Backup, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = elsewhere(tmp_path_factory)
    user = User.objects.create_user("alice")
    for asked in ({"actor": "alice", "requested_by": user}, {"actor": "alice"}):  # the second was deleted meanwhile
        job = make_job(database=backup.database, kind="verify", state="succeeded", **asked)
        with pytest.raises(Refused):
            restore_backup(backup=backup, target_name=str(target), keep_owners=True, progress=Silent(), job=job)
        assert not target.exists()
    job = make_job(database=backup.database, kind="restore", state="running", actor="shell:root", worker="w")
    row = restore_backup(backup=backup, target_name=str(target), keep_owners=True, progress=Silent(), job=job)
    assert (row.state, target.exists()) == ("exact", True)

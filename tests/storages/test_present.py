from __future__ import annotations

from pathlib import Path

import pytest

from dbadmin import audit
from dbadmin.backups.storage_changes import check
from dbadmin.choices import CopyState, JobKind, JobState
from dbadmin.exceptions import StorageError
from dbadmin.jobs.foreground import work_on
from dbadmin.models import Backup, Copy, Storage
from tests.factories import make_storage
from tests.sqlite_file import make_sqlite_file, sqlite_database

ANNE = audit.Actor(name="anne")


@pytest.mark.django_db
def test_a_new_folder_is_used_and_one_that_has_lost_its_content_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    storage = make_storage(folder, is_default=True)
    database = sqlite_database(make_sqlite_file(tmp_path / "a.db"))
    assert work_on(JobKind.BACKUP, database, actor=ANNE, params={}).state == JobState.SUCCEEDED
    folder.rename(tmp_path / "elsewhere")  # the disk is not mounted, or this is another machine
    folder.mkdir()
    again = work_on(JobKind.BACKUP, database, actor=ANNE, params={})
    assert again.state == JobState.FAILED
    assert "missing or empty" in str(again.message)
    verified = work_on(JobKind.VERIFY, database, actor=ANNE, params={"backup": Backup.objects.get().pk})
    assert verified.state == JobState.FAILED
    assert Copy.objects.get(state=CopyState.STORED)  # not called vanished
    with pytest.raises(StorageError, match="another machine"):
        storage.for_writing()
    tested = check(storage).failed
    assert tested is not None
    assert (str(tested.name), "missing or empty" in str(tested.message)) == ("list", True)
    assert "missing or empty" in str(Storage.objects.get().problem)
    assert not any(folder.iterdir())
    (folder / "emptied on purpose").touch()
    storage.for_writing()
    assert check(storage).failed is None

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dbadmin.backups.preflight import Preflight, look_ahead
from dbadmin.models import Backup
from tests.backups.files import stored
from tests.factories import make_backup, make_database


def look(backup: Backup, name: str = "copy.db") -> Preflight:
    return look_ahead(backup=backup, beside=backup.database, target_name=name, keep_owners=True)


def critical(preflight: Preflight) -> set[str]:
    return {item.name.msgid for item in preflight.items if item.verdict == "critical"}


def test_a_sound_backup_may_start_and_says_where_to(backup: Backup) -> None:
    seen = look(backup)
    assert seen.may_start
    assert seen.address == str(Path(backup.database.settings["path"]).with_name("copy.db"))


def test_an_exchanged_manifest_is_noticed(backup: Backup) -> None:
    Backup.objects.update(sha256="0" * 64)
    backup.refresh_from_db()
    assert critical(look(backup)) == {"Archive"}


def test_a_lost_storage_is_an_item_and_not_an_exception(backup: Backup) -> None:
    shutil.rmtree(backup.storage.settings["path"])
    assert critical(look(backup)) == {"Archive"}


def test_a_deleted_archive_stops_it(backup: Backup) -> None:
    backup.state = "deleted"
    assert critical(look(backup)) == {"Archive"}


def test_a_lost_original_folder_stops_it(backup: Backup) -> None:
    shutil.rmtree(Path(stored(backup, "backup.tar")).parents[1])
    Path(backup.database.settings["path"]).unlink()
    assert {"Archive", "Server and tools"} <= critical(look(backup))


def test_a_partial_scope_is_a_warning(backup: Backup) -> None:
    backup.scope = "schema"
    assert "Scope" in {item.name.msgid for item in look(backup).items if item.verdict == "warning"}


@pytest.mark.django_db
def test_a_server_that_is_down_is_said_in_its_own_words() -> None:
    database = make_database(engine="postgresql", settings={"host": "127.0.0.1", "port": 1, "name": "camp"})
    seen = look(make_backup(database=database, client_version="16.1", server_version="16.1"), "copy")
    assert "Target" in critical(seen)
    assert not seen.may_start

"""Some files of a set: beside, in place, back again, and killed in between."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dbadmin.backups.preflight_rows import differences_of_files, look_ahead_of_rows
from dbadmin.backups.replace import replace_with_backup
from dbadmin.backups.tables import restore_tables
from dbadmin.backups.undo import undo_restore
from dbadmin.choices import JobKind, RestoreState
from dbadmin.exceptions import ValidationFailed
from dbadmin.models import Backup, Database, Restore, Storage
from dbadmin.progress import Silent
from tests.backups.files import below, spools
from tests.backups.test_replace_kill import KILLED, Target, take
from tests.backups.test_replace_kill import storage as storage
from tests.factories import make_database

pytestmark = pytest.mark.django_db(transaction=True)
CHOSEN = ("a.json", "sub/[x].json")


@dataclass
class Config:
    root: Path
    database: Database
    backup: Backup

    def content(self) -> Any:
        return {
            name: (
                (self.root / name).read_bytes(),
                (self.root / name).stat().st_mtime_ns,
                (self.root / name).stat().st_mode,
            )
            for name in below(self.root)
        }

    def names(self) -> set[str]:
        return {path.name for path in self.root.parent.iterdir()}


@pytest.fixture
def config(tmp_path: Path, storage: Storage) -> Config:
    root = tmp_path / "live" / "config"
    (root / "sub").mkdir(parents=True)
    for name in ("a.json", "b.json", "sub/[x].json", "sub/x.json"):
        (root / name).write_text('{"version": "new", "password": "s3cret"}')
    (root / "a.json").chmod(0o640)
    database = make_database(engine="files", settings={"folder": str(root), "required": ["**/*.json"]}, slug="config")
    return Config(root, database, take(database, storage))


def change(config: Config) -> None:
    for name in ("a.json", "b.json", "sub/x.json"):
        (config.root / name).write_text('{"version": "old", "password": "other"}')
    (config.root / "sub/[x].json").unlink(missing_ok=True)


def test_only_the_chosen_files_change_and_come_back(config: Config) -> None:
    then = config.content()
    change(config)
    now = config.content()
    row = replace_with_backup(backup=config.backup, database=config.database, files=CHOSEN, progress=Silent())
    assert row.state == RestoreState.EXACT
    assert row.safety_backup
    assert config.content() == now | {name: then[name] for name in CHOSEN}
    (config.root / "b.json").write_text("{}")  # written since: none of our business
    undo_restore(row=row, progress=Silent())
    assert config.content() | {"b.json": ""} == now | {"b.json": ""}
    assert (config.root / "b.json").read_text() == "{}"


def test_what_would_change_is_shown_key_by_key_and_without_secrets(config: Config) -> None:
    change(config)
    found = differences_of_files(config.backup, config.database, (*CHOSEN, "b.json"))
    assert found["sub/[x].json"] is None
    changes = found["a.json"]
    assert changes
    assert [(change.key, change.left, change.right) for change in changes.samples][1] == ("version", '"old"', '"new"')
    assert "s3cret" not in str(changes)
    looked = look_ahead_of_rows(backup=config.backup, database=config.database, names=CHOSEN)
    assert looked.may_start, looked
    assert spools() == []


def test_chosen_files_come_into_a_folder_beside(config: Config) -> None:
    then = config.content()
    change(config)
    now = config.content()
    row = restore_tables(backup=config.backup, database=config.database, tables=CHOSEN, progress=Silent())
    assert row.state == RestoreState.EXACT
    assert config.names() == {"config", f"config__restored_{row.pk}"}
    beside = Config(config.root.with_name(f"config__restored_{row.pk}"), config.database, config.backup)
    assert beside.content() == {name: then[name] for name in CHOSEN}
    assert config.content() == now


def test_a_file_that_the_backup_lacks_is_named(config: Config) -> None:
    with pytest.raises(ValidationFailed, match=r"no file “c\.json”"):
        replace_with_backup(backup=config.backup, database=config.database, files=("c.json",), progress=Silent())
    assert not Restore.objects.exists()


def test_killed_at_every_step_the_chosen_files_are_old_or_new(config: Config) -> None:
    then = config.content()
    change(config)
    old = config.content()
    target = Target(
        config.database, config.backup, config.content, config.names, old, old | {name: then[name] for name in CHOSEN}
    )
    states: list[str] = []
    code = KILLED
    while code == KILLED:
        params = {"backup": config.backup.pk, "mode": "replace", "files": CHOSEN, "keep_hours": 1}
        code = target.run(JobKind.RESTORE, len(states) + 1, **params)
        row = Restore.objects.latest("pk")
        states.append(row.state)
        if row.state == RestoreState.EXACT:
            assert target.content() == target.new
            undo_restore(row=row, progress=Silent())
        assert target.content() == target.old
    assert states[0] == RestoreState.FAILED
    assert states.count(RestoreState.EXACT) > 1

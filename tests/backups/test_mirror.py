"""`backup sync`: a storage's folder on another host, by rsync over SSH; nothing vanishes there by accident."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from dbadmin import audit
from dbadmin.backups.mirror import mirror
from dbadmin.exceptions import Refused, StorageError, ValidationFailed
from dbadmin.models import Backup, Storage
from dbadmin.progress import Silent
from tests.factories import make_storage
from tests.servers import absent
from tests.sqlite_file import make_sqlite_file, sqlite_database
from tests.storages.servers import free_port, running

pytestmark = pytest.mark.django_db


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    if not shutil.which("rsync"):
        absent("rsync is not installed.")
    return make_storage(tmp_path / "archives of dbadmin", name="here")


@pytest.fixture
def backup(tmp_path: Path, storage: Storage) -> Backup:
    return take(tmp_path, storage)


def take(tmp_path: Path, storage: Storage) -> Backup:
    from dbadmin.backups.take import take_backup

    database = sqlite_database(make_sqlite_file(tmp_path / f"{storage.copies.count()}.db"))
    return take_backup(database=database, storages=[storage], scope="full", progress=Silent())


def to(storage: Storage, target: str, **options: Any) -> int:
    return mirror(storage, target, actor=audit.SYSTEM, progress=Silent(), **options).files


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_the_same_is_sent_once_and_half_written_files_never(
    tmp_path: Path, storage: Storage, backup: Backup
) -> None:
    here, there = Path(storage.settings["path"]), tmp_path / "there"
    (here / backup.key / ".partial-77").write_bytes(b"half")
    assert to(storage, f"{there}/") == 2
    assert to(storage, f"{there}/") == 0
    assert set(content(there)) == {f"{backup.key}/backup.tar", f"{backup.key}/manifest.json"}
    storage.refresh_from_db()
    assert (storage.mirror_target, storage.mirrored_at is not None) == (f"{there}/", True)


def test_an_emptied_storage_empties_no_mirror(tmp_path: Path, storage: Storage, backup: Backup) -> None:
    here, there = Path(storage.settings["path"]), tmp_path / "there"
    to(storage, f"{there}/")
    before = content(there)
    shutil.rmtree(here / backup.key)
    assert to(storage, f"{there}/") == 0
    with pytest.raises(Refused, match="are missing here"):
        to(storage, f"{there}/", delete=True)
    assert content(there) == before
    shutil.rmtree(here)
    with pytest.raises(StorageError, match="is not there"):
        to(storage, f"{there}/")
    assert content(there) == before


def test_what_is_missing_is_told_while_the_rest_is_sent(
    tmp_path: Path, storage: Storage, backup: Backup, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = Path(storage.settings["path"]), tmp_path / "there"
    gone, kept = take(tmp_path, storage), take(tmp_path, storage)
    shutil.rmtree(here / backup.key)
    (here / gone.key / "backup.tar").unlink()
    gone.copies.update(state="vanished")  # it was noticed before; the mirror may have the only one
    sync = ("backup", "sync", "--storage", "here", "--to", str(there))
    with pytest.raises(SystemExit, match="2"):
        call_command(*sync, "--json")
    [row] = json.loads(capsys.readouterr().out)["results"]
    assert (row["files"], row["missing"]) == (2, 2)
    assert f"{kept.key}/backup.tar" in content(there)
    with pytest.raises(SystemExit, match="2"):
        call_command(*sync)
    assert f"that the catalogue has and “here” lacks: 2, such as {gone.key}." in capsys.readouterr().out
    with pytest.raises(Refused, match="are missing here"):
        to(storage, str(there), delete=True)


def test_what_the_mirror_has_is_never_replaced(
    tmp_path: Path, storage: Storage, backup: Backup, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = Path(storage.settings["path"]), tmp_path / "there"
    rotten, truncated = backup, take(tmp_path, storage)
    to(storage, str(there))
    before = content(there)
    tar = here / rotten.key / "backup.tar"
    tar.write_bytes(os.urandom(tar.stat().st_size))
    os.truncate(here / truncated.key / "backup.tar", 10)
    new = take(tmp_path, storage)
    sync = ("backup", "sync", "--storage", "here", "--to", str(there))
    with pytest.raises(SystemExit, match="2"):
        call_command(*sync)
    said = capsys.readouterr().out
    assert f": 1, such as {truncated.key}/backup.tar. Nothing was replaced" in said
    after = content(there)
    assert {name: after.pop(name) for name in list(after) if name.startswith(new.key)}.keys() == {
        f"{new.key}/backup.tar",
        f"{new.key}/manifest.json",
    }
    assert after == before


@pytest.mark.parametrize("state", ["damaged", "vanished", "waiting", "failed"])
def test_what_is_not_good_by_the_catalogue_is_not_sent(
    tmp_path: Path, storage: Storage, backup: Backup, state: str
) -> None:
    there, kept = tmp_path / "there", take(tmp_path, storage)
    Backup.objects.filter(pk=backup.pk).update(key=f"{backup.key}[a]*")
    (Path(storage.settings["path"]) / backup.key).rename(Path(storage.settings["path"]) / f"{backup.key}[a]*")
    backup.copies.update(state=state)
    done = mirror(storage, str(there), actor=audit.SYSTEM, progress=Silent())
    assert set(content(there)) == {f"{kept.key}/backup.tar", f"{kept.key}/manifest.json"}
    assert done.withheld == ((f"{backup.key}[a]*",) if state in ("damaged", "vanished") else ())
    assert done.is_whole is not bool(done.withheld)


def test_a_good_one_there_outlives_a_damaged_one_here(tmp_path: Path, storage: Storage, backup: Backup) -> None:
    there = tmp_path / "there"
    take(tmp_path, storage)
    to(storage, str(there))
    before = content(there)
    backup.copies.update(state="damaged")
    shutil.rmtree(Path(storage.settings["path"]) / backup.key)
    to(storage, str(there), delete=True)
    assert content(there) == before


def test_what_retention_released_goes_there_too_when_asked(
    tmp_path: Path, storage: Storage, backup: Backup, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = Path(storage.settings["path"]), tmp_path / "there"
    take(tmp_path, storage)
    to(storage, f"{there}/")
    shutil.rmtree(here / backup.key)
    backup.copies.update(state="deleted")
    new = take(tmp_path, storage)
    sync = ("backup", "sync", "--storage", "here", "--to", str(there), "--delete")
    call_command(*sync, "--json")
    [row] = json.loads(capsys.readouterr().out)["results"]
    assert (row["files"], row["deleted"]) == (2, 2)
    assert content(there) == content(here)
    shutil.rmtree(here / new.key)
    new.copies.update(state="deleted")
    call_command(*sync)
    said = capsys.readouterr().out
    assert "0 files sent" in said
    assert "2 files deleted" in said
    assert content(there) == content(here)


@pytest.mark.parametrize("left_here", [None, "damaged", "deleted"])
def test_a_storage_without_archives_empties_no_mirror(
    tmp_path: Path, storage: Storage, backup: Backup, left_here: str | None
) -> None:
    here, there = Path(storage.settings["path"]), tmp_path / "there"
    gone = take(tmp_path, storage)
    to(storage, str(there))
    before = content(there)
    shutil.rmtree(here / gone.key)
    gone.copies.all().delete()
    if left_here == "damaged":
        backup.copies.update(state=left_here)
    else:
        shutil.rmtree(here / backup.key)
        backup.copies.update(state="deleted")
        if left_here is None:
            backup.copies.all().delete()
    (here / "unlike an archive.txt").write_text("x")
    with pytest.raises(Refused, match=r"no good archive in .* has [24] files") as refused:
        to(storage, str(there), delete=True)
    assert "adopt them" in str(refused.value)
    assert content(there) == before


def test_what_another_catalogue_put_there_is_not_deleted(tmp_path: Path, storage: Storage, backup: Backup) -> None:
    """A new catalogue with its first backup, beside the mirror of a lost one."""
    there = tmp_path / "there"
    former = take(tmp_path, storage)
    to(storage, str(there))
    shutil.rmtree(Path(storage.settings["path"]) / former.key)
    former.copies.all().delete()
    before = content(there)
    with pytest.raises(Refused, match="has 2 files that the catalogue knows nothing of"):
        to(storage, str(there), delete=True)
    assert content(there) == before
    assert to(storage, str(there)) == 0


def test_deleting_is_no_matter_where_there_is_nothing_yet(tmp_path: Path, storage: Storage) -> None:
    Path(storage.settings["path"]).mkdir(exist_ok=True)
    assert to(storage, f"{tmp_path}/there", delete=True) == 0


@pytest.mark.parametrize("target", ["", "-e sh", "--rsh=x", "host::module", "user@host:", "rsync://host/x"])
def test_what_is_no_place_is_refused(storage: Storage, backup: Backup, target: str) -> None:
    with pytest.raises(ValidationFailed, match="no place for a mirror"):
        to(storage, target)


@pytest.fixture
def other_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An sshd on this machine; the fixture is the configuration with which ssh reaches it as ``other``."""
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(program).exists():
        absent("OpenSSH's sshd is not installed.")
    folder, port = tmp_path_factory.mktemp("ssh"), free_port()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "sshd").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    (folder / "ssh").write_text(
        f"Host other\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n  IdentityFile {folder}/user\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known\n"
    )
    with running((program, "-D", "-e", "-f", str(folder / "sshd")), port=port):
        yield folder / "ssh"


def test_over_ssh_by_command(tmp_path: Path, storage: Storage, backup: Backup, other_host: Path) -> None:
    there, out = tmp_path / "there", StringIO()
    options = ("--storage", "here", "--ssh-config", str(other_host), "--json")
    call_command("backup", "sync", *options, "--to", f"other:{there}", stdout=out)
    assert json.loads(out.getvalue())["results"][0]["files"] == 2
    assert content(there) == content(Path(storage.settings["path"]))
    half = there / backup.key / ".rsync-partial" / "backup.tar"  # as an interrupted run leaves it
    half.parent.mkdir()
    (there / backup.key / "backup.tar").rename(half)
    os.truncate(half, 1000)
    call_command("backup", "sync", *options, stdout=StringIO())  # the place is remembered
    assert content(there) == content(Path(storage.settings["path"]))
    os.truncate(there / backup.key / "backup.tar", 1000)
    done = mirror(storage, f"other:{there}", actor=audit.SYSTEM, progress=Silent(), ssh_config=other_host)
    assert (done.files, done.different) == (0, (f"{backup.key}/backup.tar",))
    shutil.rmtree(Path(storage.settings["path"]) / backup.key)
    backup.copies.update(state="deleted")
    with pytest.raises(Refused, match="no good archive"):
        to(storage, f"other:{there}", ssh_config=other_host, delete=True)
    take(tmp_path, storage)
    done = mirror(storage, f"other:{there}", actor=audit.SYSTEM, progress=Silent(), ssh_config=other_host, delete=True)
    assert (done.files, done.deleted) == (2, 2)
    with pytest.raises(StorageError, match="was not finished"):
        to(storage, "stranger@other:/nowhere", ssh_config=other_host)

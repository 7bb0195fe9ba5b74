"""README's recipes, word for word: an archive comes back with tar, pg_restore and zstd alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from dbadmin.archives.age import new_identity
from dbadmin.archives.manifest import Manifest
from dbadmin.backups.take import take_backup
from dbadmin.engines.postgresql import clients
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.models import Backup, Database, EncryptionKey, Storage
from dbadmin.progress import Silent
from dbadmin.recovery_kit import CHECK, DECRYPT, READ_MANIFEST, SQLITE, key_file, kit
from tests.factories import make_database, make_storage
from tests.servers import absent

README = (Path(__file__).parent.parent / "README.md").read_text()


def recipe(name: str) -> str:
    found = re.search(rf"<!-- test: {name} -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1]


def key_pair(storage: Storage) -> str:
    """Have the storage's archives encrypted; return the key file."""
    identity, recipient = new_identity()
    key = EncryptionKey.objects.create(name="key", recipient=recipient)
    storage.keys.add(key)
    return key_file(key, identity)


@pytest.mark.django_db
def test_an_encrypted_archive_is_opened_by_age_alone(sample_sqlite: Path, tmp_path: Path) -> None:
    storage = make_storage(tmp_path / "archives")
    key = key_pair(storage)
    database = make_database(engine="sqlite", settings={"path": str(sample_sqlite)})
    backup = take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    folder = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "archives" / backup.key, folder)
    (folder / "key.txt").write_text(key)
    assert sorted(path.name for path in folder.iterdir()) == ["backup.tar.age", "key.txt", "manifest.json.age"]
    written = kit(with_secrets=False)
    for command in (CHECK, DECRYPT, READ_MANIFEST, SQLITE):
        assert command in written
        said = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, check=True, capture_output=True)
        if command is CHECK:
            assert backup.sha256 in said.stdout.decode()
    assert Manifest.from_bytes((folder / "manifest.json").read_bytes()).archive_sha256 == backup.sha256
    assert apsw.Connection(str(folder / "restored.sqlite3")).execute("SELECT count(*) FROM releases").fetchone()


def follow(name: str, backup: Backup, folder: Path, **variables: str) -> None:
    """Run the recipe in a folder that holds nothing but a copy of the archive."""
    folder.mkdir()
    stored = Path(backup.storage.settings["path"]) / backup.key / "backup.tar"
    shutil.copy(stored, folder / "backup.tar")
    subprocess.run(["bash", "-euc", recipe(name)], cwd=folder, env={"PATH": "/usr/bin:/bin", **variables}, check=True)


def back_up(database: Database, folder: Path) -> Backup:
    return take_backup(database=database, storages=[make_storage(folder)], scope="full", progress=Silent())


@pytest.mark.django_db
def test_postgresql(server: Cluster, camp_backend: Callable[[Cluster], PostgreSQLConnection], tmp_path: Path) -> None:
    source = camp_backend(server)
    settings = {"host": source.host, "port": source.port, "user": source.user, "name": source.dbname}
    database = make_database(engine="postgresql", settings=settings)
    database.password = source.password
    database.save()
    backup = back_up(database, tmp_path / "archives")
    programs = clients.restore_client(16, backup.client_version).folder
    reach = {"PGHOST": source.host, "PGPORT": str(source.port), "PGUSER": source.user, "PGPASSWORD": source.password}
    follow("restore-postgresql", backup, tmp_path / "elsewhere", **reach, PATH=f"{programs}:/usr/bin:/bin")
    try:
        restored = database.adapter.new_target(database.connection(), "camp_backend_restored")
        assert backup.measured().differences(database.adapter.facts(restored, progress=Silent())) == ()
    finally:
        database.adapter.discard(restored)


@pytest.mark.django_db
def test_sqlite(sample_sqlite: Path, tmp_path: Path) -> None:
    if shutil.which("zstd") is None:
        absent("zstd is not installed; the recipe needs it.")
    backup = back_up(make_database(engine="sqlite", settings={"path": str(sample_sqlite)}), tmp_path / "archives")
    follow("restore-sqlite", backup, tmp_path / "elsewhere")
    query = "SELECT * FROM releases ORDER BY 1"
    restored = apsw.Connection(str(tmp_path / "elsewhere" / "restored.sqlite3")).execute(query).fetchall()
    assert restored == apsw.Connection(str(sample_sqlite)).execute(query).fetchall() != []

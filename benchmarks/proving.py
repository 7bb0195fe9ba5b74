"""A catalogue, servers and databases that are thrown away, and what finds damage in their backups."""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSIONS = (15, 16, 18)
SHOP = """
CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL, balance numeric(9, 2) CHECK (balance >= 0));
INSERT INTO customers (name, balance) SELECT 'customer ' || n || md5(n::text), n FROM generate_series(1, 2000) AS n;
CREATE TABLE orders (id bigserial PRIMARY KEY, customer int REFERENCES customers, at timestamptz DEFAULT now());
INSERT INTO orders (customer) SELECT 1 + n % 2000 FROM generate_series(1, 3000) AS n;
CREATE INDEX customers_name ON customers (name);
CREATE TABLE notes AS SELECT n AS id, repeat(md5(n::text), 4) AS words FROM generate_series(1, 1000) AS n;
"""


@dataclass
class Tally:
    """How many of a class there were, and how many each way found; None where a way does not apply."""

    corruptions: int = 0
    verify: int = 0
    drill: int = 0
    pg_restore: int = 0
    tried_pg_restore: int = 0
    missed: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        found = max(self.verify, self.drill)
        exit_code = self.pg_restore if self.tried_pg_restore else None
        return {"corruptions": self.corruptions, "detected": found, "by_verify": self.verify, "by_drill": self.drill,
                "by_pg_restore_exit_code": exit_code, "tried_with_pg_restore": self.tried_pg_restore,
                "missed": self.missed}  # fmt: skip


class Bench:
    """A catalogue, servers and databases in a folder that is thrown away."""

    def __init__(self, folder: Path, seed: int) -> None:
        from dbadmin.engines.postgresql import clients, fetch
        from dbadmin.engines.postgresql.cluster import Cluster
        from dbadmin.models import Storage

        self.folder, self.random = folder, random.Random(seed)
        self.tallies: dict[str, Tally] = defaultdict(Tally)
        cache = Path(os.environ.get("DBADMIN_TEST_POSTGRESQL", folder / "programs"))
        clients.configure((), fetched=cache)
        system = Path("/usr/lib/postgresql/15/bin")
        programs = {major: fetch.install(major, cache) for major in VERSIONS if major != 15 or not system.exists()}
        programs.setdefault(15, system)
        self.servers = {
            major: Cluster(folder=folder / f"pg{major}", bin_folder=programs[major], durable=False)
            for major in VERSIONS
        }
        self.programs = programs[16]
        for server in self.servers.values():
            server.start()
        self.storage = Storage.objects.create(name="bench", settings={"path": str(folder / "archives")})
        self.number = 0

    def database(self, engine: str, settings: dict[str, Any]) -> Any:
        from dbadmin.models import Application, Database

        self.number += 1
        application, _made = Application.objects.get_or_create(name="Bench", slug="bench")
        slug = f"{engine}-{self.number}"
        return Database.objects.create(
            application=application, name=slug, slug=slug, engine=engine, settings=settings
        )  # fmt: skip

    def postgresql(self, major: int = 16) -> Any:
        name = f"shop_{self.number}"
        place = self.servers[major].connection(name)
        self.sql(major, f"CREATE DATABASE {name}")
        found = self.database("postgresql", {"host": place.host, "port": place.port, "user": place.user, "name": name})
        execute(found, SHOP)
        return found

    def sql(self, major: int, statement: str) -> None:
        import psycopg

        with psycopg.connect(**self.servers[major].connection().parameters(), autocommit=True) as session:
            session.execute(statement.encode())

    def sqlite(self) -> Any:
        import sqlite3

        path = self.folder / f"file{self.number}.db"
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, words TEXT CHECK (length(words) > 1))")
            db.executemany("INSERT INTO notes (words) VALUES (?)", [(f"note {n} " * 20,) for n in range(2000)])
            db.execute("CREATE INDEX notes_words ON notes (words)")
            db.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
        db.close()
        return self.database("sqlite", {"path": str(path)})

    def files(self) -> Any:
        folder = self.folder / f"files{self.number}"
        folder.mkdir()
        for number in range(5):
            (folder / f"{number}.json").write_text(json.dumps({"n": number, "text": "word " * 200}))
        return self.database("files", {"folder": str(folder), "required": ["*.json"]})

    def sealed(self) -> tuple[Any, Any]:
        """Return another storage, and the key it is encrypted for, of which this machine has the private half."""
        from dbadmin.archives.age import new_identity
        from dbadmin.models import EncryptionKey, Storage

        identity, recipient = new_identity()
        key = EncryptionKey(name="bench", recipient=recipient)
        key.identity = identity
        key.save()
        storage = Storage.objects.create(name="sealed", settings={"path": str(self.folder / "sealed")})
        storage.keys.add(key)
        return storage, key

    def take(self, database: Any, storage: Any = None) -> Any:
        from dbadmin.backups.take import take_backup
        from dbadmin.progress import Silent

        return take_backup(database=database, storages=[storage or self.storage], scope="full", progress=Silent())

    def path(self, backup: Any, name: str = "backup.tar") -> Path:
        """Return where the archive, or its manifest, lies, encrypted or not."""
        path = Path(backup.storage.settings["path"]) / backup.key / name
        return path if path.exists() else path.with_name(f"{name}.age")


def execute(database: Any, statement: str) -> None:
    import psycopg

    with psycopg.connect(**database.connection().parameters(), autocommit=True) as session:
        session.execute(statement.encode())


def verified(backup: Any) -> bool:
    """Say whether verify finds something wrong."""
    from dbadmin.backups.verify import verify_backup
    from dbadmin.exceptions import StorageError
    from dbadmin.progress import Silent

    try:
        verify_backup(backup, Silent())
    except StorageError:
        return True
    return False


def drilled(backup: Any) -> bool:
    """Say whether a drill finds something wrong."""
    from dbadmin.backups.drill import drill_backup
    from dbadmin.choices import DrillState
    from dbadmin.exceptions import DbadminError
    from dbadmin.progress import Silent

    try:
        return drill_backup(backup=backup, progress=Silent()).state != DrillState.PROVEN
    except DbadminError:
        return True


def pg_restore_fails(bench: Bench, tar: Path) -> bool:
    """Unpack whatever can be unpacked, restore it with pg_restore alone, and say whether its exit code is not 0."""
    place = bench.servers[16].connection()
    bench.sql(16, "DROP DATABASE IF EXISTS alone")
    bench.sql(16, "CREATE DATABASE alone")
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        subprocess.run(["tar", "-xf", tar, "-C", folder], capture_output=True, check=False)
        argv = [bench.programs / "pg_restore", "-h", place.host, "-p", str(place.port), "-U", place.user, "-d", "alone",
                "-Fd", f"{folder}/dump"]  # fmt: skip
        return subprocess.run(argv, capture_output=True, check=False).returncode != 0


def sqlite_execute(database: Any, statement: str) -> None:
    import sqlite3

    with sqlite3.connect(database.settings["path"], timeout=10) as db:
        db.executescript(statement)
    db.close()


def judge(bench: Bench, name: str, backup: Any) -> None:
    tally = bench.tallies[name]
    tally.corruptions += 1
    tally.verify += verified(backup)
    found = drilled(backup)
    tally.drill += found
    if not found:
        tally.missed.append(name)
    if backup.database.engine == "postgresql" and "on its way" not in name:  # there the dump itself is whole
        tally.tried_pg_restore += 1
        tally.pg_restore += pg_restore_fails(bench, bench.path(backup))

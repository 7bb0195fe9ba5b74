"""Which damage is found, and by what: `python -m benchmarks.detection [--json] [--seed 1] [--share 1.0]`.

Damage of two kinds, with a fixed seed. *Stored*: bytes of an archive change after it was stored; verify reads the
archive again. *Lossy*: the dump itself lacks something, and its hashes are made of what it holds, so that only a drill
can find it: the facts are those of the whole database. Beside both stands what the exit code of pg_restore tells.
Clean backups, of three server versions and while others write, have to be found clean.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
LOSSES = {
    "table dropped": ("DROP TABLE notes", "DROP TABLE orders"),
    "rows removed": ("DELETE FROM notes WHERE id = {n}", "DELETE FROM orders WHERE id = {n}"),
    "sequence reset": ("SELECT setval('customers_id_seq', {n})", "SELECT setval('orders_id_seq', 1, false)"),
    "index missing": ("DROP INDEX customers_name",),
    "constraint missing": (
        "ALTER TABLE customers DROP CONSTRAINT customers_balance_check",
        "ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey",
    ),
}
SQLITE_LOSSES = {
    "table dropped": "DROP TABLE notes",
    "rows removed": "DELETE FROM notes WHERE id = {n}",
    "index missing": "DROP INDEX notes_words",
}


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
            db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, words TEXT)")
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

    def take(self, database: Any) -> Any:
        from dbadmin.backups.take import take_backup
        from dbadmin.progress import Silent

        return take_backup(database=database, storages=[self.storage], scope="full", progress=Silent())

    def path(self, backup: Any, name: str = "backup.tar") -> Path:
        return self.folder / "archives" / backup.key / name


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


def stored_damage(bench: Bench, share: float) -> None:
    """Change archives after they were stored."""
    from dbadmin.engines.postgresql.clients import ClientSet

    kept = ClientSet.compression
    for compression in ("zstd:1", "gzip:1", "none"):
        ClientSet.compression = property(lambda self, value=compression: value)  # type: ignore[assignment, misc]
        backup = bench.take(bench.postgresql())
        ClientSet.compression = kept  # type: ignore[method-assign]
        each(bench, backup, f"bit flip, PostgreSQL {compression}", flip, round(20 * share))
    others = {"PostgreSQL": bench.take(bench.postgresql()), "SQLite": bench.take(bench.sqlite()),
              "files": bench.take(bench.files())}  # fmt: skip
    for engine, backup in others.items():
        if engine != "PostgreSQL":
            each(bench, backup, f"bit flip, {engine}", flip, round(20 * share))
        each(bench, backup, f"truncated, {engine}", truncate, round(10 * share))
        each(bench, backup, f"empty file, {engine}", empty, 1)
        each(bench, backup, f"manifest of another backup, {engine}", foreign_manifest(bench, backup), 1)
        if engine != "SQLite":
            each(bench, backup, f"members swapped, {engine}", swap, round(5 * share))


Damage = Callable[[Path, random.Random], None]


def each(bench: Bench, backup: Any, name: str, damage: Damage, times: int) -> None:
    """Damage a stored archive, look, and mend it, several times."""
    tar, manifest = bench.path(backup), bench.path(backup, "manifest.json")
    originals = {path: path.read_bytes() for path in (tar, manifest)}
    for _ in range(max(1, times)):
        damage(tar, bench.random)
        tally = bench.tallies[name]
        tally.corruptions += 1
        found = verified(backup)
        tally.verify += found
        tally.drill += drilled(backup)
        if not found:
            tally.missed.append(name)
        if backup.database.engine == "postgresql" and tar.read_bytes() != originals[tar]:
            tally.tried_pg_restore += 1
            tally.pg_restore += pg_restore_fails(bench, tar)
        for path, content in originals.items():
            path.write_bytes(content)


def flip(tar: Path, chance: random.Random) -> None:
    """One bit, inside a member that holds rows where there are such."""
    with tarfile.open(tar) as archive:
        members = [member for member in archive.getmembers() if member.size]
    members = [member for member in members if ".dat" in member.name and "toc" not in member.name] or members
    member = chance.choices(members, [member.size for member in members])[0]
    content = bytearray(tar.read_bytes())
    content[member.offset_data + chance.randrange(member.size)] ^= 1 << chance.randrange(8)
    tar.write_bytes(content)


def truncate(tar: Path, chance: random.Random) -> None:
    content = tar.read_bytes()
    tar.write_bytes(content[: chance.randrange(1, len(content))])


def empty(tar: Path, chance: random.Random) -> None:
    tar.write_bytes(b"")


def swap(tar: Path, chance: random.Random) -> None:
    """Exchange what two members hold."""
    with tarfile.open(tar) as archive:
        held = [(member, archive.extractfile(member).read()) for member in archive.getmembers()]  # type: ignore[union-attr]
    rows = [number for number, (member, _content) in enumerate(held) if ".dat" in member.name or "json" in member.name]
    rows = [number for number in rows if "toc" not in held[number][0].name]
    first, second = chance.sample(rows, 2)
    contents = [content for _member, content in held]
    contents[first], contents[second] = contents[second], contents[first]
    with tarfile.open(tar, "w") as archive:
        for (member, _content), content in zip(held, contents, strict=True):
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def foreign_manifest(bench: Bench, backup: Any) -> Damage:
    other = bench.take(backup.database)

    def damage(tar: Path, chance: random.Random) -> None:
        shutil.copy(bench.path(other, "manifest.json"), tar.with_name("manifest.json"))

    return damage


@contextmanager
def facts_before(database: Any, harm: Callable[[], None]) -> Iterator[None]:
    """Let the next dump lack what ``harm`` removes, though its facts are those of the whole."""
    from dbadmin.progress import Silent

    engine = type(database.adapter)
    facts = database.adapter.facts(database.connection(), progress=Silent())
    harm()
    dump = engine.dump
    engine.dump = lambda self, connection, **options: replace(dump(self, connection, **options), facts=facts)
    try:
        yield
    finally:
        engine.dump = dump


def lossy_damage(bench: Bench, share: float) -> None:
    """Dump less than there was."""
    for name, statements in LOSSES.items():
        for number in range(max(1, round(8 * share))):
            database = bench.postgresql()
            statement = statements[number % len(statements)].format(n=bench.random.randrange(1, 900))
            with facts_before(database, lambda: execute(database, statement)):  # noqa: B023
                judge(bench, f"{name}, PostgreSQL", bench.take(database))
    for name, statement in SQLITE_LOSSES.items():
        for _ in range(max(1, round(8 * share))):
            database = bench.sqlite()
            wanted = statement.format(n=bench.random.randrange(1, 900))
            with facts_before(database, lambda: sqlite_execute(database, wanted)):  # noqa: B023
                judge(bench, f"{name}, SQLite", bench.take(database))
    for _ in range(max(1, round(8 * share))):
        database = bench.files()
        with facts_before(database, lambda: alter_file(bench, database)):  # noqa: B023
            judge(bench, "one value altered, files", bench.take(database))
    altered_on_the_way(bench, max(1, round(8 * share)))


def altered_on_the_way(bench: Bench, times: int) -> None:
    """One value of the restored copy differs; every count is right."""
    from dbadmin.engines.postgresql import PostgreSQLEngine

    original = PostgreSQLEngine.content_of_copy
    backup = bench.take(bench.postgresql())
    statement = f"UPDATE customers SET balance = balance + 1 WHERE id = {bench.random.randrange(1, 2000)}"

    def altered(self: Any, target: Any, **options: Any) -> Any:
        import psycopg

        with psycopg.connect(**target.parameters(), autocommit=True) as session:
            session.execute(statement.encode())
        return original(self, target, **options)

    PostgreSQLEngine.content_of_copy = altered  # type: ignore[method-assign, assignment]
    try:
        for _ in range(times):
            judge(bench, "one value altered on its way back, PostgreSQL", backup)
    finally:
        PostgreSQLEngine.content_of_copy = original  # type: ignore[method-assign]


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


def sqlite_execute(database: Any, statement: str) -> None:
    import sqlite3

    with sqlite3.connect(database.settings["path"], timeout=10) as db:
        db.execute(statement)
    db.close()


def alter_file(bench: Bench, database: Any) -> None:
    number = bench.random.randrange(5)
    path = Path(database.settings["folder"]) / f"{number}.json"
    path.write_text(path.read_text().replace('"n"', '"m"'))


def clean_backups(bench: Bench, share: float) -> tuple[int, int]:
    """Return how many clean backups were drilled, and how many of them were called bad."""
    alarms = total = 0
    wanted = [("postgresql", major) for major in VERSIONS] * 10 + [("sqlite", 0), ("files", 0)] * 10
    for engine, major in wanted[: max(5, round(len(wanted) * share))]:
        database = bench.postgresql(major) if major else getattr(bench, engine)()
        with writers(engine, database):
            backup = bench.take(database)
        total += 1
        alarms += verified(backup) or drilled(backup)
    return total, alarms


@contextmanager
def writers(engine: str, database: Any) -> Iterator[None]:
    """Write all the while."""
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            if engine == "postgresql":
                execute(database, "INSERT INTO orders (customer) VALUES (1); UPDATE customers SET balance = 5 WHERE id"
                        " = 7; DELETE FROM notes WHERE id = (SELECT min(id) FROM notes)")  # fmt: skip
            elif engine == "sqlite":
                sqlite_execute(database, "INSERT INTO notes (words) VALUES ('new')")
            time.sleep(0.005)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run(folder: Path, seed: int, share: float) -> dict[str, Any]:
    """Do everything and return the figures."""
    begun = time.monotonic()
    bench = Bench(folder, seed)
    try:
        stored_damage(bench, share)
        lossy_damage(bench, share)
        clean, false_alarms = clean_backups(bench, share)
    finally:
        for server in bench.servers.values():
            server.remove()
    classes = {name: tally.as_json() for name, tally in bench.tallies.items()}
    keys = ("corruptions", "detected", "by_verify", "by_drill", "by_pg_restore_exit_code", "tried_with_pg_restore")
    totals = {key: sum(entry[key] or 0 for entry in classes.values()) for key in keys}
    return totals | {"clean": clean, "false_alarms": false_alarms, "seed": seed,
                     "seconds": round(time.monotonic() - begun), "classes": classes}  # fmt: skip


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0, help="of the whole; for a quick look")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dbadmin-detection-") as folder:
        Path(folder).chmod(0o755)
        os.environ |= {"DBADMIN_HOME": f"{folder}/home", "DJANGO_SETTINGS_MODULE": "project.settings"}
        os.environ.pop("DATABASE_URL", None)
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        found = run(Path(folder), options.seed, options.share)
    print(json.dumps(found, indent=2) if options.json else table(found))
    sys.exit(0 if found["detected"] == found["corruptions"] and not found["false_alarms"] else 1)


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = ["| damage | cases | verify | drill | exit code of pg_restore |", "|---|--:|--:|--:|--:|"]
    for name, entry in found["classes"].items():
        tried = entry["tried_with_pg_restore"]
        exit_code = f"{entry['by_pg_restore_exit_code']} of {tried}" if tried else "–"
        lines.append(
            f"| {name} | {entry['corruptions']} | {entry['by_verify']} | {entry['by_drill']} | {exit_code} |"
        )  # fmt: skip
    lines.append(f"\n{found['detected']} of {found['corruptions']} found; pg_restore's exit code alone tells of"
                 f" {found['by_pg_restore_exit_code']} of {found['tried_with_pg_restore']}. False alarms:"
                 f" {found['false_alarms']} of {found['clean']} clean backups. {found['seconds']} s.")  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Damage to what is stored, and damage that is in the dump already, each with a seed."""

from __future__ import annotations

import io
import random
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.proving import Bench, drilled, execute, judge, pg_restore_fails, sqlite_execute, verified

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
    "constraint missing": "CREATE TABLE kept (id INTEGER PRIMARY KEY, words TEXT);"
    " INSERT INTO kept SELECT * FROM notes; DROP TABLE notes; ALTER TABLE kept RENAME TO notes;"
    " CREATE INDEX notes_words ON notes (words)",
}
ALTERED = {
    "postgresql": "UPDATE customers SET balance = balance + 1 WHERE id = {n}",
    "sqlite": "UPDATE notes SET words = words || '!' WHERE id = {n}",
}


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
        if backup.database.engine == "postgresql" and tar.suffix == ".tar" and tar.read_bytes() != originals[tar]:
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


def flip_anywhere(tar: Path, chance: random.Random) -> None:
    content = bytearray(tar.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
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
    facts = database.adapter.facts(database.connection(), progress=Silent(), measuring=database.measuring)
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
    altered_in_the_dump(bench, max(1, round(8 * share)))
    altered_on_the_way(bench, max(1, round(8 * share)))


def altered_in_the_dump(bench: Bench, times: int) -> None:
    """One value differs, every count and every hash of the archive is right: the rows' own hashes are needed."""
    for engine, change in (("postgresql", execute), ("sqlite", sqlite_execute)):
        for _ in range(times):
            database = getattr(bench, engine)()
            database.facts_level = "hashes"
            database.save()
            statement = ALTERED[engine].format(n=bench.random.randrange(1, 900))
            with facts_before(database, lambda: change(database, statement)):  # noqa: B023
                judge(bench, f"one value altered, {database.get_engine_display()} with hashes", bench.take(database))


def sealed_damage(bench: Bench, share: float) -> None:
    """Encrypted archives: a bit of the ciphertext, its end, and a private key that is not the right one."""
    from dbadmin.archives.age import new_identity

    storage, key = bench.sealed()
    backup = bench.take(bench.postgresql(), storage)
    each(bench, backup, "bit flip, encrypted", flip_anywhere, round(10 * share))
    each(bench, backup, "truncated, encrypted", truncate, round(5 * share))
    key.identity = new_identity()[0]
    key.save()
    each(bench, backup, "wrong key", lambda tar, chance: None, 1)


def stale_logs(bench: Bench, share: float) -> None:
    """An older file put back under the write-ahead log of its later self: what it shows never was."""
    from dbadmin.exceptions import DbadminError

    for _ in range(max(1, round(5 * share))):
        database = bench.sqlite()
        put_older_file_under_log(Path(database.settings["path"]))
        tally = bench.tallies["stale -wal beside a file, SQLite"]
        tally.corruptions += 1
        try:
            backup = bench.take(database)
        except DbadminError:  # what is no sound database never becomes a backup
            tally.verify, tally.drill = tally.verify + 1, tally.drill + 1
        else:
            tally.verify += verified(backup)
            tally.drill += drilled(backup)


def put_older_file_under_log(path: Path) -> None:
    """Grow the file, write on into the log, then bring the small file back."""
    import sqlite3

    before, log = path.read_bytes(), path.with_name(f"{path.name}-wal")
    with sqlite3.connect(path) as db:
        db.executemany("INSERT INTO notes (words) VALUES (?)", [(f"later {n} " * 30,) for n in range(3000)])
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        db.executemany("INSERT INTO notes (words) VALUES (?)", [(f"last {n} " * 30,) for n in range(300)])
        db.commit()
        written = log.read_bytes()
    db.close()
    path.write_bytes(before)
    log.write_bytes(written)


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


def alter_file(bench: Bench, database: Any) -> None:
    number = bench.random.randrange(5)
    path = Path(database.settings["folder"]) / f"{number}.json"
    path.write_text(path.read_text().replace('"n"', '"m"'))

"""Backup and restore of 1 GB beside the tools that peers run: `python -m benchmarks.engines [--gb 1] [--json]`.

Everything of one table is run in turn on the same server in the same minutes, so that the ratios hold whatever the
machine. Ours is the whole command, `manage.py backup run` and `restore run`: with Python's start, dump, counting,
hashing, archive, manifest and catalogue; the others are the bare tools.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import apsw
import psycopg

from benchmarks.measure import Contestant, compare, table
from dbadmin.engines.postgresql import fetch
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.engines.postgresql.connection import PostgreSQLConnection

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = """
    CREATE TABLE docs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text, body text, tags jsonb, ref uuid);
    INSERT INTO docs (title, body, tags, ref)
    SELECT 'Document ' || n, repeat(md5(n::text) || ' ', 6) || md5((n * 7)::text),
           jsonb_build_object('n', n, 'name', md5((n % 1000)::text), 'tags', jsonb_build_array('a', n % 17)),
           md5((n * 3)::text)::uuid
    FROM generate_series(1, {rows}) AS n;
    CREATE INDEX docs_title ON docs (title);
    CREATE INDEX docs_tags ON docs USING gin (tags);
    ANALYZE;
"""
RECORDS = """
    CREATE TABLE releases (id INTEGER PRIMARY KEY, title TEXT, body TEXT, created_at TEXT, notified INTEGER);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
    INSERT INTO releases SELECT i, 'Release ' || i, hex(randomblob(60)) || ' ' || i, datetime(i, 'unixepoch'), i % 2
    FROM n;
    CREATE INDEX releases_title ON releases (title);
"""


@dataclass(frozen=True)
class Bench:
    """A scratch home with a server, and the sizes to work on."""

    home: Path
    server: PostgreSQLConnection
    programs: Path
    gigabytes: float

    def manage(self, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, str(ROOT / "manage.py"), *arguments)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DBADMIN_HOME": str(self.home),
            "DBADMIN_POSTGRESQL_BIN": str(self.programs),
            "PGHOST": self.server.host,
            "PGPORT": str(self.server.port),
            "PGUSER": self.server.user,
        }

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            self.manage(*arguments), env={**os.environ, **self.environment}, check=True, capture_output=True, text=True
        )
        return done.stdout

    def sql(self, statement: str, dbname: str = "postgres") -> None:
        with psycopg.connect(**replace(self.server, dbname=dbname).parameters(), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def bench(gigabytes: float) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="dbadmin-bench-") as folder:
        Path(folder).chmod(0o755)
        cache = os.environ.get("DBADMIN_TEST_POSTGRESQL")
        programs = fetch.install(16, Path(cache) if cache else Path(folder) / "programs")
        server = Cluster(folder=Path(folder) / "server", bin_folder=programs, settings=(("max_wal_size", "4GB"),))
        server.start()
        try:
            yield Bench(Path(folder) / "home", server.connection(), programs, gigabytes)
        finally:
            server.remove()


def postgresql(at: Bench, runs: int) -> list[str]:
    scale, rows = round(40 * at.gigabytes), round(700_000 * at.gigabytes)
    at.sql("CREATE DATABASE bench")
    pgbench = (at.programs / "pgbench", "-i", "-q", "-s", str(scale), "bench")
    subprocess.run(pgbench, env={**os.environ, **at.environment}, check=True, capture_output=True)
    at.sql(DOCUMENTS.format(rows=rows), "bench")
    at.run("databases", "add", "Bench", "--application", "Bench", "--engine", "postgresql", "--url",
           f"postgresql://{at.server.user}@/bench?host={at.server.host}&port={at.server.port}")  # fmt: skip
    return [
        table("Back up PostgreSQL", compare(list(_pg_backups(at)), runs=runs)),
        table("Restore PostgreSQL", compare(list(_pg_restores(at)), runs=runs)),
    ]


def _pg_backups(at: Bench) -> Iterator[Contestant]:
    for name, options in {
        "pg_dump -Fc (default, gzip)": ("-Fc",),
        "pg_dump -Fc --compress=zstd:5 (Databasus)": ("-Fc", "--compress=zstd:5"),
    }.items():
        target = at.home / f"{options[-1].strip('-').replace(':', '')}.dump"
        argv = (str(at.programs / "pg_dump"), *options, "-f", str(target), "bench")
        yield Contestant(name=name, argv=argv, env=at.environment, prepare=_remover(target), size=_sizer(target))
    yield Contestant(
        name="**dbadmin backup run**", argv=at.manage("backup", "run", "bench"), env=at.environment,
        prepare=lambda: None, size=lambda: _newest(at),
    )  # fmt: skip


def _pg_restores(at: Bench) -> Iterator[Contestant]:
    def fresh() -> None:
        at.sql("DROP DATABASE IF EXISTS bench_restored")
        at.sql("CREATE DATABASE bench_restored")

    for name, jobs, dump in (
        ("pg_restore -j1 of -Fc gzip", "-j1", "Fc.dump"),
        ("pg_restore -j2 of -Fc gzip", "-j2", "Fc.dump"),
        ("pg_restore -j2 of -Fc zstd:5 (Databasus)", "-j2", "compress=zstd5.dump"),
    ):
        argv = (str(at.programs / "pg_restore"), jobs, "-d", "bench_restored", str(at.home / dump))
        yield Contestant(name=name, argv=argv, env=at.environment, prepare=fresh)
    yield Contestant(
        name="**dbadmin restore run** (checks, restores, compares)",
        argv=at.manage("restore", "run", _newest_id(at, "bench"), "--to-new", "bench_restored"),
        env=at.environment,
        prepare=lambda: at.sql("DROP DATABASE IF EXISTS bench_restored"),
    )


def sqlite(at: Bench, runs: int) -> list[str]:
    folder = at.home.parent / "data"
    folder.mkdir()
    path, copy, restored = (folder / name for name in ("bench.sqlite3", "copy.sqlite3", "restored.sqlite3"))
    database = apsw.Connection(str(path))
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(RECORDS.format(rows=round(4_700_000 * at.gigabytes)))
    database.close()
    at.run("databases", "add", "Bench file", "--application", "Bench", "--engine", "sqlite", "--path", str(path))
    shell = shutil.which("sqlite3") or sys.exit("sqlite3 is not installed.")
    plain = Contestant(name="sqlite3 .backup", argv=(shell, str(path), f".backup '{copy}'"), env={},
                       prepare=_remover(copy), size=_sizer(copy))  # fmt: skip
    check = f".backup '{copy}'\n.open '{copy}'\nPRAGMA integrity_check;"
    script = f'echo "{check}" | {shell} {path}'
    checked = Contestant(name="sqlite3 .backup and integrity_check", argv=("sh", "-c", script), env={},
                         prepare=_remover(copy), size=_sizer(copy))  # fmt: skip
    ours = Contestant(name="**dbadmin backup run**", argv=at.manage("backup", "run", "bench-file"), env=at.environment,
                      prepare=lambda: None, size=lambda: _newest(at))  # fmt: skip
    backups = table("Back up SQLite", compare([plain, checked, ours], runs=runs))
    plain = Contestant(name="cp", argv=("cp", str(copy), str(restored)), env={}, prepare=_remover(restored))
    ours = Contestant(
        name="**dbadmin restore run** (checks, restores, compares)",
        argv=at.manage("restore", "run", _newest_id(at, "bench-file"), "--to-new", str(restored)),
        env=at.environment, prepare=_remover(restored),
    )  # fmt: skip
    return [backups, table("Restore SQLite", compare([plain, ours], runs=runs))]


def _newest_id(at: Bench, database: str) -> str:
    listed = json.loads(at.run("backup", "list", "--database", database, "--json"))
    return str(listed["results"][0]["id"])


def _newest(at: Bench) -> int:
    newest = max((at.home / "archives").rglob("backup.tar"), key=lambda path: path.stat().st_mtime)
    return newest.stat().st_size


def _remover(path: Path) -> Callable[[], None]:
    return lambda: path.unlink(missing_ok=True)


def _sizer(path: Path) -> Callable[[], int]:
    return lambda: path.stat().st_size


def main() -> None:
    """Print the tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=("postgresql", "sqlite"))
    options = parser.parse_args()
    with bench(options.gb) as at:
        at.run("migrate")
        for name, part in (("postgresql", postgresql), ("sqlite", sqlite)):
            if options.only in (None, name):
                print("\n".join(part(at, options.runs)), flush=True)


if __name__ == "__main__":
    main()

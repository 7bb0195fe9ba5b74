"""What proof costs: `python -m benchmarks.drill [--gb 2] [--json] [--bin /usr/lib/postgresql/16/bin]`.

Two questions, each answered by medians of alternating runs on one server. What do facts add to a dump: the same dump
without measuring, with counts, with hashes. And what does a whole drill (unpack, throw-away server, restore, facts,
content byte by byte, examination) take against plain `pg_restore -j2` into the same kind of throw-away server. Peak
memory is measured at a quarter of the size, too: it has to be the same.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROWS_PER_GB = 2_300_000
LOAD = """
CREATE TABLE customers (id int, name text, email text, balance numeric(12, 2), joined timestamptz, note text);
INSERT INTO customers SELECT n, 'Customer ' || n, md5(n::text) || '@example.com', n * 1.37,
  timestamptz '2020-01-01' + n * interval '37 seconds', repeat(md5((n * 7)::text), 3)
  FROM generate_series(1, {rows}) AS n;
CREATE TABLE orders (id int, customer int, at timestamptz, total numeric(12, 2), detail jsonb);
INSERT INTO orders SELECT n, 1 + n % {rows}, timestamptz '2021-01-01' + n * interval '11 seconds', n * 0.71,
  jsonb_build_object('item', md5(n::text), 'count', n % 9, 'words', md5((n * 3)::text))
  FROM generate_series(1, {rows}) AS n;
ALTER TABLE customers ADD PRIMARY KEY (id);
ALTER TABLE orders ADD PRIMARY KEY (id);
CREATE INDEX orders_customer ON orders (customer);
ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers;
VACUUM ANALYZE;
"""


class Phases:
    """Remembers how long each phase took."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, float]] = []

    def phase(self, name: Any, *, total: int | None = None, unit: str = "bytes") -> None:
        self.begun.append((str(name), time.monotonic()))

    def update(self, done: int, *, current: str = "") -> None: ...

    def log(self, line: Any, *, level: str = "info") -> None: ...

    def process(self, pid: int | None) -> None: ...

    def check(self) -> None: ...

    def took(self) -> dict[str, float]:
        """Return the seconds of each phase."""
        ends = [at for _name, at in self.begun[1:]] + [time.monotonic()]
        return {name: round(end - at, 2) for (name, at), end in zip(self.begun, ends, strict=True)}


def timed(work: Callable[[], Any]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


@contextlib.contextmanager
def without_facts() -> Iterator[None]:
    """Let dumps measure nothing at all."""
    from dbadmin.engines.postgresql import dump
    from dbadmin.facts import Facts

    kept, dump.measure = dump.measure, lambda *_: Facts()  # type: ignore[attr-defined, assignment]
    try:
        yield
    finally:
        dump.measure = kept  # type: ignore[attr-defined]


def dump_once(connection: Any, folder: Path, measuring: Any) -> float:
    from dbadmin.engines.postgresql import PostgreSQLEngine
    from dbadmin.progress import Silent

    with tempfile.TemporaryDirectory(dir=folder) as spool:
        options: dict[str, Any] = {"scope": "full", "spool": Path(spool), "progress": Silent()}
        if measuring is None:
            with without_facts():
                return timed(lambda: PostgreSQLEngine().dump(connection, **options))
        return timed(lambda: PostgreSQLEngine().dump(connection, **options, measuring=measuring))


def dumps(connection: Any, folder: Path, runs: int) -> dict[str, float]:
    """Return the median seconds of each way to dump, run in turns."""
    from dbadmin.facts import COUNTS, Measuring

    ways = {"nothing": None, "counts": COUNTS, "hashes": Measuring(hashes=True)}
    dump_once(connection, folder, None)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, measuring in ways.items():
            taken[name].append(dump_once(connection, folder, measuring))
    return {name: round(statistics.median(each), 2) for name, each in taken.items()}


def plain_restore(backup: Any, folder: Path) -> float:
    """Run pg_restore alone, into the same kind of throw-away server; the rest is not counted."""
    from dbadmin.archives.reader import read_manifest, unpack
    from dbadmin.engines.postgresql import clients, scratch
    from dbadmin.progress import Silent

    with tempfile.TemporaryDirectory(dir=folder) as made:
        spool, backend = Path(made), backup.storage.backend()
        manifest = read_manifest(backend, backup.key)
        (spool / "archive").mkdir()
        unpack(backend, backup.key, manifest, spool / "archive", Silent())
        with scratch.scratch_server(
            origin=manifest.origin, client_version=manifest.client_version, spool=spool, progress=Silent()
        ) as target:
            major = clients.version_major(manifest.server_version)
            program = clients.restore_client(major, manifest.client_version)
            where = ["-h", target.host, "-p", str(target.port), "-U", target.user]
            subprocess.run([program.folder / "createdb", *where, target.dbname], check=True)
            dump = spool / "archive" / "dump"
            argv = [program.program("pg_restore"), *where, "-d", target.dbname, "-j2", "-Fd", dump]
            return timed(lambda: subprocess.run(argv, check=True))


def drills(connection: Any, folder: Path, runs: int) -> dict[str, Any]:
    """Return the median seconds of pg_restore alone and of whole drills, run in turns."""
    from dbadmin.backups.drill import drill_backup
    from dbadmin.backups.take import take_backup
    from dbadmin.choices import DrillState
    from dbadmin.models import Application, Database, Storage
    from dbadmin.progress import Silent

    settings = {"host": connection.host, "port": connection.port, "user": connection.user, "name": connection.dbname}
    database = Database.objects.create(
        application=Application.objects.create(name="Bench", slug="bench"), name="bench", slug="bench",
        engine="postgresql", settings=settings,
    )  # fmt: skip
    storage = Storage.objects.create(name="bench", settings={"path": str(folder / "archives")})
    backup = take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    plain, whole = [], []
    for _ in range(runs):
        plain.append(plain_restore(backup, folder))
        begun = time.monotonic()
        phases = Phases()
        row = drill_backup(backup=backup, progress=phases)
        whole.append(time.monotonic() - begun)
        if row.state != DrillState.PROVEN:
            raise SystemExit(f"The drill ended {row.state}: {row.differences or row.checks}")
    found = {"pg_restore": statistics.median(plain), "drill": statistics.median(whole)}
    return {name: round(seconds, 2) for name, seconds in found.items()} | {
        "archive_mb": round(backup.size / 1e6),
        "phases": phases.took(),
    }


def peak_mb() -> int:
    """Of this process and the programs that it ran, the largest; the servers are not ours."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024


def measured(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Make a server of the size and measure all on it."""
    import psycopg

    from dbadmin.engines.postgresql import clients
    from dbadmin.engines.postgresql.cluster import Cluster

    clients.configure((options.bin,))
    settings = (("shared_buffers", "256MB"), ("max_wal_size", "4GB"), ("autovacuum", "off"))
    cluster = Cluster(folder=folder / "server", bin_folder=options.bin, durable=False, settings=settings)
    cluster.start()
    try:
        with psycopg.connect(**cluster.connection("postgres").parameters(), autocommit=True) as session:
            session.execute("CREATE DATABASE bench")
        connection = cluster.connection("bench")
        with psycopg.connect(**connection.parameters(), autocommit=True) as session:
            for statement in LOAD.format(rows=round(ROWS_PER_GB * options.gb)).split(";"):
                if statement.strip():
                    session.execute(statement.encode())
            row = session.execute("SELECT pg_database_size(current_database())").fetchone()
        found: dict[str, Any] = {"database_mb": row[0] // 1_000_000 if row else 0, "load": os.getloadavg()[0]}
        if not options.small:
            found["dump"] = dumps(connection, folder, options.runs)
        found["drill"] = drills(connection, folder, 1 if options.small else options.runs)
        return found | {"peak_mb": peak_mb()}
    finally:
        cluster.remove()


def growth(options: argparse.Namespace) -> dict[str, Any]:
    """Drill a quarter of the size in a process of its own."""
    argv = [
        sys.executable,
        "-m",
        "benchmarks.drill",
        "--json",
        "--small",
        f"--gb={options.gb / 4}",
        f"--bin={options.bin}",
    ]
    small: dict[str, Any] = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    return {"database_mb": small["database_mb"], "peak_mb": small["peak_mb"]}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--gb", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--bin", type=Path, default=Path("/usr/lib/postgresql/16/bin"), help="server and clients")
    parser.add_argument("--small", action="store_true", help="one drill and its memory, nothing else")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dbadmin-drill-bench-") as folder:
        Path(folder).chmod(0o755)
        os.environ |= {"DBADMIN_HOME": f"{folder}/home", "DJANGO_SETTINGS_MODULE": "project.settings"}
        os.environ.pop("DATABASE_URL", None)
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        found = measured(Path(folder), options)
    if not options.small:
        found["quarter"] = growth(options)
    print(json.dumps(found, indent=2) if options.json else table(found))


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    dump, drill, small = found["dump"], found["drill"], found["quarter"]
    sizes = f"Database {found['database_mb']} MB, archive {drill['archive_mb']} MB"
    lines = [f"{sizes}, load at the start {found['load']:.1f}.", "", "| what | seconds | ratio |", "|---|--:|--:|"]
    names = {"nothing": "dump, nothing measured", "counts": "dump with counts", "hashes": "dump with hashes"}
    lines += [f"| {said} | {dump[name]} | {dump[name] / dump['nothing']:.2f} |" for name, said in names.items()]
    lines += [f"| `pg_restore -j2` alone | {drill['pg_restore']} | 1.00 |",
              f"| whole drill, with content | {drill['drill']} | {drill['drill'] / drill['pg_restore']:.2f} |",
              "", "| database | largest process, peak MB |", "|--:|--:|"]  # fmt: skip
    for size in (small, found):
        lines.append(f"| {size['database_mb']} MB | {size['peak_mb']} |")
    lines += ["", "; ".join(f"{name} {seconds} s" for name, seconds in drill["phases"].items()) + "."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

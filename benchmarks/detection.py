"""Which damage is found, and by what: `python -m benchmarks.detection [--json] [--seed 1] [--share 1.0]`.

Damage of two kinds, with a fixed seed. *Stored*: bytes of an archive change after it was stored; verify reads the
archive again. *Lossy*: the dump itself lacks something, and its hashes are made of what it holds, so that only a drill
can find it: the facts are those of the whole database. Beside both stands what the exit code of pg_restore tells.
Clean backups, of three server versions and while others write, have to be found clean.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.damage import lossy_damage, sealed_damage, stale_logs, stored_damage
from benchmarks.proving import VERSIONS, Bench, drilled, execute, sqlite_execute, verified


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
        sealed_damage(bench, share)
        stale_logs(bench, share)
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

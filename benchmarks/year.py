"""Live a year with twenty databases: ``python -m benchmarks.year [--databases 20] [--seed 4] [--json]``.

The clock function and the handlers are the real ones, the databases and storages small and real; see ``tests/year``.
Uses a scratch SQLite catalogue. Ends with the figures, or with the first moment at which something was not as it has
to be.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Live it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--databases", type=int, default=20)
    parser.add_argument("--seed", type=int, default=4, help="what goes wrong when")
    parser.add_argument("--look-hours", type=int, default=24, help="how often health is checked, at least")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dbadmin-year-") as folder:
        _start_django(Path(folder) / "home")
        figures = _live(Path(folder) / "world", options)
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        print("\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in figures.items()))
    return 0


def _start_django(home: Path) -> None:
    home.mkdir()
    os.environ["DBADMIN_HOME"] = str(home)
    os.environ["DATABASE_URL"] = f"sqlite:///{home / 'catalogue.sqlite3'}"
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _live(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    from tests.year.simulation import Year, as_json

    year = Year(folder, databases=options.databases, seed=options.seed, look_hours=options.look_hours)
    year.on_day = lambda day: print(f"\rday {day}", end="", file=sys.stderr, flush=True)
    return as_json(year.run())


if __name__ == "__main__":
    raise SystemExit(main())

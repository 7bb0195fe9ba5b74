"""Measure how long the pages take with many backups: ``python -m benchmarks.pages [--backups 100000] [--url URL]``.

Uses a scratch SQLite catalogue in a temporary folder, or an empty PostgreSQL database given by ``--url``. Prints the
median and the slowest of some requests of each page, queries and rendering included, the server's socket excluded.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

REPEAT = 15
LIMIT_MILLISECONDS = 100


def main() -> int:
    """Fill, measure, print; 1 when a page is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backups", type=int, default=100_000)
    parser.add_argument("--url", default="", help="DATABASE_URL of an empty catalogue")
    parser.add_argument("--home", default="", help="keep (or use again) the scratch catalogue in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dbadmin-pages-") as folder:
        _start_django(options.home or folder, options.url)
        _prepare(options.backups)
        slowest = max([_measure(name, path) for name, path in _pages()])
    return int(slowest > LIMIT_MILLISECONDS)


def _start_django(home: str, url: str) -> None:
    os.environ["DBADMIN_HOME"] = home
    os.environ["DATABASE_URL"] = url or f"sqlite:///{Path(home) / 'catalogue.sqlite3'}"
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    import django

    django.setup()


def _prepare(backups: int) -> None:
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection

    from benchmarks.catalogue import fill
    from dbadmin.models import Backup

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    if not Backup.objects.exists():
        User.objects.create_superuser("benchmark")
        began = time.perf_counter()
        fill(backups)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE" if connection.vendor == "postgresql" else "SELECT 1")
        print(f"{backups} backups written in {time.perf_counter() - began:.0f} s ({connection.vendor})")


def _pages() -> Iterator[tuple[str, str]]:
    from django.urls import reverse

    from dbadmin.models import Backup

    backups, jobs, audit = reverse("backups"), reverse("jobs"), reverse("audit")
    newest, middle = Backup.objects.latest("pk"), Backup.objects.order_by("pk")[Backup.objects.count() // 2]
    deep = f"{middle.finished_at.isoformat().replace('+', '%2B')}~{middle.pk}"
    yield "Overview", reverse("overview")
    yield "Backups, first page", backups
    yield "Backups, deep page", f"{backups}?after={deep}"
    yield "Backups, by size", f"{backups}?sort=largest"
    yield "Backups, one application", f"{backups}?application=camp-backend"
    yield "Backups, one database", f"{backups}?database=camp-backend-1"
    yield "Backups, one database, deep", f"{backups}?database=camp-backend-1&after={deep}"
    yield "Backups, one database, by size", f"{backups}?database=camp-backend-1&sort=largest"
    yield "Backups, one engine", f"{backups}?engine=files"
    yield "Backups, damaged", f"{backups}?state=damaged"
    yield "Backups, available", f"{backups}?state=available"
    yield "Backups, schema only", f"{backups}?scope=schema"
    since, until = (f"{middle.finished_at + timedelta(days=days):%Y-%m-%d}" for days in (0, 60))
    yield "Backups, two months", f"{backups}?since={since}&until={until}"
    yield "Backups, two months, by size", f"{backups}?since={since}&until={until}&sort=largest"
    yield "Backups, text of one key", f"{backups}?text={newest.key[-8:]}"
    yield "Backups, text in none", f"{backups}?text=nowhere"
    yield "Backup", reverse("backup", args=[newest.pk])
    yield "Statistics", reverse("backup-statistics")
    yield "Statistics, one database", f"{reverse('backup-statistics')}?database=camp-backend-1"
    yield "Statistics, one day", f"{reverse('backup-day')}?day={middle.finished_at:%Y-%m-%d}"
    yield "Disaster recovery", reverse("backup-readiness")
    yield "Storages", reverse("storages")
    yield "Storage", reverse("storage", args=[newest.storage_id])
    yield "Jobs", jobs
    yield "Jobs, failed", f"{jobs}?state=failed"
    yield "Jobs, succeeded", f"{jobs}?state=succeeded"
    yield "Jobs, running", f"{jobs}?state=running"
    yield "Jobs, health checks", f"{jobs}?kind=health"
    yield "Jobs, restores", f"{jobs}?kind=restore"
    yield "Jobs, deep page", f"{jobs}?after=~{middle.pk}"
    yield "Health", reverse("health")
    yield "Migrations", reverse("migrations")
    yield "Audit", audit
    yield "Audit, one actor", f"{audit}?actor=sato"
    yield "Audit, actor who never acted", f"{audit}?actor=nobody"


def _measure(name: str, path: str) -> float:
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client()
    client.force_login(User.objects.get(username="benchmark"))
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path, headers={"host": "localhost"}).status_code == 200, path
    count = len(queries)
    milliseconds = [_request(client, path) for _ in range(REPEAT)]
    median = statistics.median(milliseconds)
    print(f"{name:34} median {median:6.1f} ms   slowest {max(milliseconds):6.1f} ms   {count:2} queries")
    return median


def _request(client: object, path: str) -> float:
    began = time.perf_counter()
    client.get(path, headers={"host": "localhost"})  # type: ignore[attr-defined]
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    raise SystemExit(main())

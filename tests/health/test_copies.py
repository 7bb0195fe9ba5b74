"""A backup that is not in all its storages is said, once that was more than a hiccup, and until it is mended."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from dbadmin.backups.missing import store_missing
from dbadmin.backups.take import take_backup
from dbadmin.choices import Verdict
from dbadmin.health.run import run_checks
from dbadmin.models import Copy, Database, Finding
from dbadmin.progress import Silent
from tests.factories import make_storage
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db


def verdict(database: Database) -> tuple[str, str]:
    results = {result.check_id: result for result in run_checks(database, now=timezone.now())}
    return results["copies"].verdict, str(results["copies"].message)


def test_it_opens_after_the_second_failure_and_resolves_when_all_are_there(tmp_path: Path) -> None:
    database = sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")
    (tmp_path / "office").write_text("not a folder: the disk is not mounted")
    storages = [make_storage(tmp_path / "here"), make_storage(tmp_path / "office", name="Office")]
    take_backup(database=database, storages=storages, scope="full", progress=Silent())
    assert verdict(database)[0] == Verdict.SKIPPED  # it may have been a hiccup
    Copy.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
    store_missing(database, Silent())
    assert verdict(database) == (
        Verdict.WARNING,
        "1 backups are not in all their storages; Office could not take them.",
    )
    assert Finding.objects.open().filter(check_id="copies").exists()
    (tmp_path / "office").unlink()
    Copy.objects.filter(retry_at__isnull=False).update(retry_at=timezone.now() - timedelta(seconds=1))
    store_missing(database, Silent())
    assert verdict(database)[0] == Verdict.SKIPPED
    assert not Finding.objects.open().filter(check_id="copies").exists()

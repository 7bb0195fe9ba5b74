"""Ctrl-C in a command that works on one database after the other: it says what it did and what it did not."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from dbadmin.models import Backup, Job
from tests.factories import make_application, make_storage
from tests.sqlite_file import make_large_sqlite_file, make_sqlite_file, sqlite_database

PATIENCE_SECONDS = 120
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def archives(db: None, tmp_path: Path) -> Path:
    """Three databases and a storage so slow that the second of them would take minutes."""
    application = make_application()
    for name in ("first", "third"):
        sqlite_database(make_sqlite_file(tmp_path / f"{name}.db"), slug=name, name=name, application=application)
    large = make_large_sqlite_file(tmp_path / "second.db", megabytes=10)
    sqlite_database(large, slug="second", name="second", application=application)
    make_storage(tmp_path / "archives", name="disk", is_default=True, bandwidth_kilobytes=50)
    return tmp_path / "archives"


@pytest.fixture
def ctrl_c_in_the_second(archives: Path) -> Iterator[None]:
    """Press it when the second one is being stored."""

    def press() -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            if any(archives.glob("second/**/*")):
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.05)

    watching = threading.Thread(target=press)
    watching.start()
    yield
    watching.join()


@pytest.mark.usefixtures("ctrl_c_in_the_second")
def test_it_says_which_finished_which_was_broken_off_and_which_was_not_begun(archives: Path) -> None:
    output = StringIO()
    with pytest.raises(SystemExit) as leaving:
        call_command("backup", "run", "--all", "--json", stdout=output)
    assert leaving.value.code == 130
    found = {row["database"]: row["state"] for row in json.loads(output.getvalue())["results"]}
    assert found == {"first": "succeeded", "second": "cancelled", "third": "not_begun"}
    assert [backup.database.slug for backup in Backup.objects.all()] == ["first"]
    assert not [path for path in archives.glob("second/**/*") if path.is_file()]
    assert not Job.objects.active().filter(kind="backup").exists()


@pytest.mark.usefixtures("ctrl_c_in_the_second")
def test_people_are_told_as_well(archives: Path) -> None:
    output = StringIO()
    with pytest.raises(SystemExit):
        call_command("backup", "run", "--all", stdout=output)
    first, second, third, total = output.getvalue().splitlines()
    assert first.startswith("first: Succeeded")
    assert second.startswith("second: Cancelled")
    assert third == "third: not begun"
    assert total == "Ended by a signal: 2 of 3 were begun; what was broken off left nothing behind."

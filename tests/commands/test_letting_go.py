"""What lets archives go is refused on the command line until somebody says that they may."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from dbadmin.models import AuditEvent, Destination, Retention, Schedule, Storage
from tests.factories import make_backup, make_database, make_retention, make_schedule, make_storage

Capture = pytest.CaptureFixture[str]
REFUSED = "Nothing was changed. Archives that retention would let go by this: {count}."
TOLD = "Archives that retention lets go by this: {count}."


@pytest.fixture
def schedule(db: None, tmp_path: Path) -> Schedule:
    """Nine daily backups of a schedule, of which seven stay; there is a retention by which four stay, too."""
    schedule, storage = make_schedule(name="night"), make_storage(tmp_path, name="Cellar")
    database = make_database(slug="shop")
    Destination.objects.create(schedule=schedule, storage=storage, retention=make_retention(name="week", daily=7))
    make_retention(name="short", daily=4)
    for day in range(9):
        at = timezone.now() - timedelta(days=day, hours=1)
        make_backup(database=database, storage=storage, schedule=schedule, started_at=at, finished_at=at)
    return schedule


def run(capsys: Capture, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = 0
    try:
        call_command(*arguments, "--json")
    except SystemExit as end:
        code = int(end.code or 0)
    return code, json.loads(capsys.readouterr().out)


def test_a_schedule_lets_archives_go_only_when_told(schedule: Schedule, capsys: Capture) -> None:
    asked = ("schedules", "edit", "night", "--storage", "Cellar=short", "--name", "nights")
    code, out = run(capsys, *asked)
    assert (code, out["error"]["message"]) == (5, REFUSED.format(count=3))
    assert out["error"]["hint"] == "If they may go, repeat the command with --let-go."
    assert schedule.destinations.get().retention == Retention.objects.get(name="week")
    assert (Schedule.objects.get().name, AuditEvent.objects.count()) == ("night", 0)
    code, out = run(capsys, *asked, "--let-go")
    assert (code, out["results"][0]["let_go"]) == (0, 3)
    assert schedule.destinations.get().retention == Retention.objects.get(name="short")


def test_what_lets_nothing_go_needs_no_word(schedule: Schedule, capsys: Capture) -> None:
    code, out = run(capsys, "schedules", "edit", "night", "--storage", "Cellar", "--retries", "3")
    assert (code, out["results"][0]["let_go"]) == (0, 0)
    assert schedule.destinations.get().retention is None


def test_a_removed_schedule_lets_archives_go_only_when_told(schedule: Schedule, capsys: Capture) -> None:
    Storage.objects.update(retention=Retention.objects.get(name="short"))
    code, out = run(capsys, "schedules", "remove", "night")
    assert (code, out["error"]["message"]) == (5, REFUSED.format(count=3))
    assert Schedule.objects.filter(pk=schedule.pk).exists()
    call_command("schedules", "remove", "night", "--let-go")
    assert TOLD.format(count=3) in capsys.readouterr().out
    assert not Schedule.objects.exists()


def test_a_storage_lets_archives_go_only_when_told(schedule: Schedule, capsys: Capture) -> None:
    schedule.destinations.update(retention=None)
    asked = ("storages", "edit", "Cellar", "--retention", "short", "--rename", "Attic")
    code, out = run(capsys, *asked)
    assert (code, out["error"]["message"]) == (5, REFUSED.format(count=5))
    stored = Storage.objects.get()
    assert (stored.name, stored.retention) == ("Cellar", None)
    call_command(*asked, "--let-go")
    assert TOLD.format(count=5) in capsys.readouterr().out
    stored.refresh_from_db()
    assert (stored.name, stored.retention) == ("Attic", Retention.objects.get(name="short"))
    assert run(capsys, "storages", "edit", "Attic", "--retention", "")[0] == 0

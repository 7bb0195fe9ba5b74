"""Ticks of several processes at once, and ticks that are killed: every moment has one row, every row one job."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db import connections
from django.utils import timezone

from dbadmin import audit
from dbadmin.choices import JobState, RunState
from dbadmin.jobs.schedules import evaluate, run_now, save_schedule
from dbadmin.models import Job, Schedule, ScheduleRun
from tests.factories import make_database
from tests.jobs.threads import at_once
from tests.jobs.workers import command, environment

NIGHT = datetime(2026, 3, 2, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

# Goes on from where the catalogue is, a minute at a time; jobs succeed at once.
GO_ON = """
import django; django.setup()
from datetime import timedelta
from dbadmin.jobs.schedules import evaluate
from dbadmin.models import Job, Schedule
now = Schedule.objects.get().evaluated_at
while True:
    now += timedelta(minutes=1)
    evaluate(now)
    print("ready", flush=True)
    Job.objects.filter(state="queued").update(state="succeeded", finished_at=now)
"""


def planned(saved_at: datetime, expression: str) -> Schedule:
    schedule = Schedule(name="often", target="all", expression=expression)
    save_schedule(schedule, saved_at)
    return schedule


def jobs_of_runs() -> list[int | None]:
    return list(ScheduleRun.objects.exclude(job=None).values_list("job", flat=True))


@pytest.mark.django_db(transaction=True)
def test_four_evaluations_at_once_make_one_row_and_one_job_for_each_database() -> None:
    for _each in range(5):
        make_database()
    planned(NIGHT - MINUTE, "0 3 * * *")
    at_once(4, lambda: evaluate(NIGHT))
    evaluate(NIGHT)
    assert list(ScheduleRun.objects.values_list("state", flat=True)) == [RunState.ACTIVE] * 5
    assert sorted(Job.objects.values_list("pk", flat=True)) == sorted(jobs_of_runs())


@pytest.mark.django_db(transaction=True)
def test_four_who_ask_at_once_for_a_run_get_one_of_each_database() -> None:
    for _each in range(3):
        make_database()
    schedule = planned(NIGHT - MINUTE, "0 3 * * *")
    made = at_once(4, lambda: len(run_now(schedule, timezone.now(), actor=audit.Actor(name="ann"))))
    assert sorted(made) == [0, 0, 0, 3]
    assert list(ScheduleRun.objects.values_list("state", flat=True)) == [RunState.ACTIVE] * 3
    assert sorted(Job.objects.values_list("pk", flat=True)) == sorted(jobs_of_runs())


@pytest.mark.django_db(transaction=True)
def test_ticks_of_three_processes_at_once_are_harmless() -> None:
    databases = [make_database() for _each in range(3)]
    planned(timezone.now() - 3 * MINUTE, "* * * * *")
    connections.close_all()
    ticks = [subprocess.Popen(command("tick"), env=environment()) for _each in range(3)]
    assert [tick.wait(600) for tick in ticks] == [0, 0, 0]
    for database in databases:
        active = ScheduleRun.objects.filter(database=database, state=RunState.ACTIVE)
        assert (active.count(), Job.objects.filter(database=database, kind="backup").count()) == (1, 1)
        assert active.get().job == Job.objects.get(database=database, kind="backup")


@pytest.mark.django_db(transaction=True)
def test_a_tick_that_is_killed_anywhere_leaves_nothing_twice_and_nothing_out() -> None:
    database = make_database()
    schedule = planned(NIGHT, "* * * * *")
    connections.close_all()
    for _each in range(6):
        tick = subprocess.Popen(
            [sys.executable, "-c", GO_ON], env=environment(), cwd=settings.BASE_DIR, stdout=subprocess.PIPE
        )
        assert tick.stdout
        for _row in range(2):  # however slow the machine, each of them gets on
            assert tick.stdout.readline() == b"ready\n"
        time.sleep(random.uniform(0.02, 0.4))  # the moment at which it is killed
        tick.kill()
        tick.communicate()
    schedule.refresh_from_db()
    evaluate(schedule.evaluated_at + MINUTE)
    due = list(ScheduleRun.objects.order_by("due_at").values_list("due_at", flat=True))
    assert len(due) > 6
    assert due == [NIGHT + number * MINUTE for number in range(1, len(due) + 1)]
    assert sorted(jobs_of_runs()) == sorted(Job.objects.values_list("pk", flat=True))  # type: ignore[type-var]
    without_job = ScheduleRun.objects.filter(job=None)
    assert set(without_job.values_list("state", flat=True)) <= {RunState.SKIPPED, RunState.WAITING}
    assert Job.objects.filter(database=database, state=JobState.QUEUED).count() <= 1

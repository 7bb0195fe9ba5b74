"""Schedules at given moments: rows for everything that was due, and jobs for what can begin."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dbadmin import audit
from dbadmin.choices import JobState, Overlap, RunState
from dbadmin.exceptions import ValidationFailed
from dbadmin.jobs.schedules import evaluate, run_now, save_schedule
from dbadmin.models import AuditEvent, Database, Destination, Job, Schedule, ScheduleRun
from tests.factories import make_backup, make_database, make_storage
from tests.jobs.planning import DAY, HOUR, MINUTE, NIGHT, end, only_run, planned, states

pytestmark = pytest.mark.django_db


def test_a_moment_becomes_a_row_and_a_job_for_every_database(shop: Database) -> None:
    other, storage = make_database(), make_storage()
    schedule = planned(scope="schema", deadline_minutes=90)
    Destination.objects.create(schedule=schedule, storage=storage)
    make_database(removed_at=NIGHT)
    assert evaluate(NIGHT - MINUTE) == []
    jobs = evaluate(NIGHT)
    assert {job.database for job in jobs} == {shop, other}
    assert jobs[0].params == {
        "schedule": schedule.pk, "scope": "schema", "storages": [storage.pk], "deadline_minutes": 90,
    }  # fmt: skip
    assert {run.due_at for run in ScheduleRun.objects.all()} == {NIGHT}
    assert states() == ["active", "active"]
    assert evaluate(NIGHT + MINUTE) == []
    schedule.refresh_from_db()
    assert schedule.next_due_at == NIGHT + DAY
    assert AuditEvent.objects.filter(action="backup.run", actor="schedule:nightly").count() == 2


def test_the_ending_of_the_job_is_that_of_the_run(shop: Database) -> None:
    planned()
    [job] = evaluate(NIGHT)
    end(job, at=NIGHT + MINUTE, message="Backed up.")
    evaluate(NIGHT + 2 * MINUTE)
    run = only_run()
    assert (run.state, str(run.reason), run.settled_at) == (RunState.SUCCEEDED, "Backed up.", NIGHT + MINUTE)


@pytest.mark.parametrize("state", ["failed", "errored"])
def test_a_failure_is_repeated_with_doubling_waits_in_the_same_row(shop: Database, state: str) -> None:
    planned(retries=2, retry_minutes=5)
    [job] = evaluate(NIGHT)
    for attempt, wait in ((1, 5), (2, 10)):
        now = NIGHT + timedelta(hours=attempt)
        end(job, state, at=now, message="The disk is full.")
        assert evaluate(now) == []
        assert (only_run().state, only_run().retry_at) == ("waiting", now + timedelta(minutes=wait))
        assert evaluate(now + timedelta(minutes=wait - 1)) == []
        [job] = evaluate(now + timedelta(minutes=wait))
        assert only_run().attempt == attempt + 1
    end(job, state, at=NIGHT + 3 * HOUR, message="The disk is full.")
    evaluate(NIGHT + 3 * HOUR)
    run = only_run()
    assert (run.state, run.attempt, str(run.reason)) == (RunState.FAILED, 3, "The disk is full.")


@pytest.mark.parametrize(("retry_minutes", "attempt"), [(60, 6), (5, 90), (2**31 - 1, 1)])
def test_no_wait_is_longer_than_a_day(shop: Database, retry_minutes: int, attempt: int) -> None:
    planned(retries=100, retry_minutes=retry_minutes)
    [job] = evaluate(NIGHT)
    ScheduleRun.objects.update(attempt=attempt)
    end(job, "failed", at=NIGHT, message="The disk is full.")
    evaluate(NIGHT + MINUTE)
    assert only_run().retry_at == NIGHT + DAY


def test_what_somebody_cancelled_is_not_repeated(shop: Database) -> None:
    planned()
    [job] = evaluate(NIGHT)
    end(job, "cancelled", at=NIGHT + MINUTE, message="The job was cancelled.")
    assert evaluate(NIGHT + HOUR) == []
    assert (only_run().state, str(only_run().reason)) == ("failed", "The job was cancelled.")


def test_the_next_moment_takes_the_place_of_one_that_waits_to_be_repeated(shop: Database) -> None:
    planned(expression="*/10 * * * *", retries=5, retry_minutes=60)
    [job] = evaluate(NIGHT - 50 * MINUTE)
    end(job, "failed", at=NIGHT - 49 * MINUTE, message="No connection.")
    assert evaluate(NIGHT - 48 * MINUTE) == []
    assert len(evaluate(NIGHT - 40 * MINUTE)) == 1
    assert states() == ["failed", "active"]


def test_a_job_lost_with_its_worker_is_followed_to_its_repetition(shop: Database) -> None:
    planned()
    [job] = evaluate(NIGHT)
    end(job, "lost", at=NIGHT + MINUTE)
    evaluate(NIGHT + 2 * MINUTE)  # the reaper has not come to it yet
    assert only_run().job == job
    again = Job.objects.create(kind="backup", database=shop, retry_of=job, attempt=2)
    evaluate(NIGHT + 3 * MINUTE)
    assert (only_run().job, only_run().state) == (again, "active")
    end(again, "lost", at=NIGHT + 4 * MINUTE)
    evaluate(NIGHT + 5 * MINUTE)
    assert only_run().state == "waiting"


def test_a_backup_that_was_complete_when_its_worker_died_is_a_success(shop: Database) -> None:
    planned()
    [job] = evaluate(NIGHT)
    make_backup(database=shop, job=job)
    end(job, "lost", at=NIGHT)
    evaluate(NIGHT + MINUTE)
    assert states() == ["succeeded"]


def test_skip_says_what_was_still_active(shop: Database) -> None:
    planned(expression="0 * * * *", overlap=Overlap.SKIP, time_zone="Asia/Tokyo")
    [job] = evaluate(NIGHT)
    assert evaluate(NIGHT + HOUR) == []
    skipped = ScheduleRun.objects.get(state=RunState.SKIPPED)
    assert str(skipped.reason) == f"The run of 2026-03-02 12:00 was still active (job {job.pk})."


def test_queue_runs_after_the_one_before(shop: Database) -> None:
    planned(expression="0 * * * *", overlap=Overlap.QUEUE)
    [job] = evaluate(NIGHT)
    assert evaluate(NIGHT + HOUR) == []
    assert states() == ["active", "waiting"]
    assert "comes after it" in str(ScheduleRun.objects.get(state="waiting").reason)
    end(job, at=NIGHT + HOUR)
    [after] = evaluate(NIGHT + HOUR + MINUTE)
    assert states() == ["succeeded", "active"]
    assert after != job


def test_a_run_waits_for_what_somebody_else_does_with_the_database(shop: Database) -> None:
    planned()
    restore = Job.objects.create(kind="restore", database=shop, state=JobState.RUNNING)
    Job.objects.create(kind="health", database=shop)
    assert evaluate(NIGHT) == []
    end(restore, at=NIGHT + MINUTE)
    assert len(evaluate(NIGHT + 2 * MINUTE)) == 1


def test_what_cannot_begin_in_its_window_is_missed(shop: Database) -> None:
    planned(start_window_minutes=30)
    Job.objects.create(kind="restore", database=shop, state=JobState.RUNNING)
    evaluate(NIGHT)
    evaluate(NIGHT + 31 * MINUTE)
    assert (only_run().state, str(only_run().reason)) == ("missed", "It could not start within 30 min.")


def test_what_no_worker_takes_in_its_window_is_missed_and_not_started_later(shop: Database) -> None:
    planned(start_window_minutes=30)
    [job] = evaluate(NIGHT)
    evaluate(NIGHT + 31 * MINUTE)
    job.refresh_from_db()
    assert (job.state, only_run().state) == (JobState.CANCELLED, RunState.MISSED)
    assert str(only_run().reason) == "No worker took it within 30 min."


def test_a_schedule_of_an_unknown_zone_can_be_paused_and_not_resumed(shop: Database) -> None:
    schedule = planned()
    Schedule.objects.filter(pk=schedule.pk).update(time_zone="Mars/Base")
    schedule.refresh_from_db()
    schedule.enabled = False
    save_schedule(schedule, NIGHT)
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.next_due_at) == (False, None)
    schedule.enabled = True
    with pytest.raises(ValidationFailed, match="Mars/Base"):
        save_schedule(schedule, NIGHT)


def test_what_is_asked_for_while_paused_runs_when_the_database_is_free(shop: Database) -> None:
    schedule = planned(enabled=False)
    busy = Job.objects.create(kind="restore", database=shop, state=JobState.RUNNING)
    [run] = run_now(schedule, NIGHT, actor=audit.SYSTEM)
    assert run.state == "waiting"
    assert evaluate(NIGHT + MINUTE) == []
    end(busy, at=NIGHT + 2 * MINUTE)
    assert len(evaluate(NIGHT + 2 * MINUTE)) == 1


def test_who_asks_does_not_wait_for_what_is_to_be_tried_again(shop: Database) -> None:
    schedule = planned(retries=3, retry_minutes=30)
    [job] = evaluate(NIGHT)
    end(job, at=NIGHT + MINUTE, state=JobState.FAILED)
    evaluate(NIGHT + MINUTE)
    run_now(schedule, NIGHT + 2 * MINUTE, actor=audit.SYSTEM)
    end(Job.objects.latest("pk"), at=NIGHT + 3 * MINUTE)
    assert evaluate(NIGHT + 40 * MINUTE) == []
    assert sorted(states()) == ["failed", "succeeded"]


def test_paused_schedules_do_nothing_and_begin_anew(shop: Database) -> None:
    schedule = planned()
    schedule.enabled = False
    save_schedule(schedule, NIGHT - MINUTE)
    assert evaluate(NIGHT + 3 * DAY) == []
    schedule.enabled = True
    save_schedule(schedule, NIGHT + 3 * DAY + HOUR)
    assert evaluate(NIGHT + 3 * DAY + 2 * HOUR) == []
    assert len(evaluate(NIGHT + 4 * DAY)) == 1
    assert ScheduleRun.objects.count() == 1


def test_pausing_ends_what_waits(shop: Database) -> None:
    schedule = planned(overlap=Overlap.QUEUE)
    Job.objects.create(kind="restore", database=shop, state=JobState.RUNNING)
    evaluate(NIGHT)
    schedule.enabled = False
    save_schedule(schedule, NIGHT + MINUTE)
    evaluate(NIGHT + MINUTE)
    assert (only_run().state, str(only_run().reason)) == ("skipped", "The schedule was paused.")


def test_removing_a_database_or_the_schedule_ends_what_waits(shop: Database) -> None:
    schedule = planned()
    Job.objects.create(kind="restore", database=shop, state=JobState.RUNNING)
    evaluate(NIGHT)
    Database.objects.filter(pk=shop.pk).update(removed_at=NIGHT)
    evaluate(NIGHT + MINUTE)
    assert (only_run().state, "removed" in str(only_run().reason)) == ("skipped", True)
    schedule.delete()
    assert evaluate(NIGHT + DAY) == []


def test_a_new_name_moves_no_moment_and_new_times_count_from_now(shop: Database) -> None:
    schedule = planned()
    schedule.name = "every night"
    save_schedule(schedule, NIGHT - MINUTE)
    assert (schedule.evaluated_at, schedule.next_due_at) == (NIGHT - HOUR, NIGHT)
    schedule.expression = "@hourly"
    save_schedule(schedule, NIGHT + 2 * HOUR)
    assert (schedule.expression, schedule.next_due_at) == ("0 * * * *", NIGHT + 3 * HOUR)
    assert ScheduleRun.objects.get().due_at == NIGHT  # what was due when the times were changed is not forgotten


def test_times_that_mean_nothing_change_nothing(shop: Database) -> None:
    schedule = planned()
    schedule.expression = "0 0 31 2 *"
    with pytest.raises(ValidationFailed):
        save_schedule(schedule, NIGHT)
    assert Schedule.objects.get().expression == "0 3 * * *"


def test_a_schedule_that_cannot_be_read_does_not_stop_the_others(shop: Database) -> None:
    planned(name="lost", kind="health")
    Schedule.objects.filter(name="lost").update(time_zone="Atlantis/Capital")
    planned()
    assert [job.kind for job in evaluate(NIGHT)] == ["backup"]
    assert Schedule.objects.get(name="lost").next_due_at is None


def test_nothing_due_costs_three_queries_however_many_schedules_there_are(shop: Database) -> None:
    Schedule.objects.bulk_create(
        Schedule(name=f"s{n}", target="all", expression="0 3 * * *", next_due_at=NIGHT, evaluated_at=NIGHT - DAY)
        for n in range(200)
    )
    with CaptureQueriesContext(connection) as queries:
        evaluate(NIGHT - HOUR)
    assert len(queries) == 3


def test_what_is_due_costs_the_same_queries_for_one_schedule_and_for_a_hundred(shop: Database) -> None:
    def cost(count: int, night: datetime) -> int:
        Schedule.objects.all().delete()
        Schedule.objects.bulk_create(
            Schedule(
                name=f"s{n}", target="all", expression="0 3 * * *", kind="drill",
                next_due_at=night, evaluated_at=night - DAY,
            )
            for n in range(count)
        )  # fmt: skip
        Job.objects.get_or_create(kind="drill", database=shop)  # so that nothing can begin
        with CaptureQueriesContext(connection) as queries:
            evaluate(night)
        assert ScheduleRun.objects.count() == count
        return len(queries)

    assert cost(1, NIGHT) == cost(100, NIGHT)

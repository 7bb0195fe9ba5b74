"""What schedules do after a standstill, and when the clock was wrong."""

from __future__ import annotations

import pytest

from dbadmin.choices import CatchUp
from dbadmin.jobs.schedules import evaluate, save_schedule
from dbadmin.models import Database, ScheduleRun
from tests.jobs.planning import DAY, HOUR, MINUTE, NIGHT, end, planned, states

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("catch_up", "expected", "made"),
    [
        (CatchUp.SKIP, ["missed", "missed", "missed"], 0),
        (CatchUp.ONCE, ["missed", "missed", "active"], 1),
        (CatchUp.ALL, ["active", "waiting", "waiting"], 1),
    ],
)
def test_after_a_standstill_of_three_days(shop: Database, catch_up: str, expected: list[str], made: int) -> None:
    planned(catch_up=catch_up, start_window_minutes=5 * 24 * 60)
    assert len(evaluate(NIGHT + 2 * DAY + HOUR)) == made
    assert states() == expected
    assert all(str(run.reason) for run in ScheduleRun.objects.filter(state="missed"))


def test_runs_that_are_made_up_for_come_one_after_the_other(shop: Database) -> None:
    planned(catch_up=CatchUp.ALL, start_window_minutes=5 * 24 * 60)
    now = NIGHT + 2 * DAY + HOUR
    for done in range(3):
        [job] = evaluate(now + done * MINUTE)
        end(job, at=now + done * MINUTE)
    assert evaluate(now + 5 * MINUTE) == []
    assert states() == ["succeeded"] * 3


def test_after_a_standstill_longer_than_the_window_nothing_is_made_up_for(shop: Database) -> None:
    planned(catch_up=CatchUp.ALL, start_window_minutes=60)
    assert evaluate(NIGHT + 2 * DAY + 2 * HOUR) == []
    assert states() == ["missed"] * 3


def test_a_long_standstill_of_a_frequent_schedule_is_a_bounded_number_of_rows(shop: Database) -> None:
    planned(expression="* * * * *")
    assert len(evaluate(NIGHT + 30 * DAY)) == 1
    assert ScheduleRun.objects.count() == 201
    oldest = ScheduleRun.objects.earliest("due_at")
    assert (oldest.state, oldest.due_at) == ("missed", NIGHT - HOUR + MINUTE)
    assert str(oldest.reason).startswith("Nothing ran at this moment and the 43059 after it")


def test_a_moment_that_is_noticed_a_little_late_is_not_missed(shop: Database) -> None:
    planned(catch_up=CatchUp.SKIP, start_window_minutes=0)
    assert len(evaluate(NIGHT + 2 * MINUTE)) == 1


def test_a_clock_that_goes_back_a_little_repeats_nothing(shop: Database) -> None:
    planned()
    [job] = evaluate(NIGHT + MINUTE)
    end(job, at=NIGHT + MINUTE)
    assert [evaluate(NIGHT - MINUTE), evaluate(NIGHT), evaluate(NIGHT + MINUTE)] == [[], [], []]
    assert states() == ["succeeded"]


@pytest.mark.parametrize("catch_up", [CatchUp.SKIP, CatchUp.ONCE])
def test_a_clock_that_was_ahead_takes_no_run_away(shop: Database, catch_up: CatchUp) -> None:
    """What was settled as missed or made up for is due again when its time comes; what was made is not undone."""
    planned(catch_up=catch_up)
    for job in evaluate(NIGHT + 150 * DAY + MINUTE):
        end(job, at=NIGHT + 150 * DAY + MINUTE)
    evaluate(NIGHT + 150 * DAY + HOUR)
    evaluate(NIGHT - HOUR)
    done = ScheduleRun.objects.values_list("state", flat=True)
    assert list(done) == ["succeeded"]
    assert not ScheduleRun.objects.filter(due_at__gte=NIGHT - HOUR).exists()
    for night in range(170):
        [job] = evaluate(NIGHT + night * DAY)
        end(job, at=NIGHT + night * DAY)


def test_a_clock_that_was_ahead_is_forgotten_when_the_schedule_is_saved(shop: Database) -> None:
    schedule = planned()
    [job] = evaluate(NIGHT + 30 * DAY)
    end(job, at=NIGHT + 30 * DAY)
    schedule.refresh_from_db()
    schedule.name = "renamed"
    save_schedule(schedule, NIGHT - HOUR)
    assert not ScheduleRun.objects.filter(due_at__gt=NIGHT - HOUR).exists()
    assert len(evaluate(NIGHT)) == 1

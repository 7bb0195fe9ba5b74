"""Whether backups are made by themselves, and whether they were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dbadmin.choices import Verdict
from dbadmin.health.checks.schedules import schedule, schedule_runs
from dbadmin.health.plans import plans
from dbadmin.health.registry import Observation, Plans, Unmended
from dbadmin.models import ScheduleRun
from dbadmin.text import Text
from tests.factories import make_database, make_schedule

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SOUND = Plans(schedules=1, backups=1, next_backup=NOW + HOUR, oldest_due=(NOW + HOUR, "nightly"))


def failed(**fields: Any) -> Unmended:
    given = {"schedule": "nightly", "kind": "backup", "state": "failed", "due_at": NOW - HOUR, "reason": Text("Full.")}
    return Unmended(**given | fields)


@pytest.mark.parametrize(("is_production", "verdict"), [(True, Verdict.CRITICAL), (False, Verdict.WARNING)])
def test_a_database_without_a_schedule_is_red_in_production(is_production: bool, verdict: Verdict) -> None:
    seen = Observation(now=NOW, is_production=is_production)
    assert schedule(seen).verdict == verdict
    assert schedule_runs(seen).verdict == Verdict.SKIPPED


def test_a_schedule_that_is_ticked_is_well_and_says_when_it_is_due() -> None:
    result = schedule(Observation(now=NOW, plans=SOUND))
    assert (result.verdict, str(result.message)) == (
        Verdict.OK, "The next full backup is due on 2026-03-02 13:00 UTC.",
    )  # fmt: skip
    assert schedule_runs(Observation(now=NOW, plans=SOUND)).verdict == Verdict.OK


def test_a_moment_that_nobody_ticked_for_is_overdue() -> None:
    result = schedule(Observation(now=NOW + 2 * HOUR, plans=SOUND))
    assert (result.verdict, "overdue since 2026-03-02 13:00 UTC" in str(result.message)) == (Verdict.CRITICAL, True)


def test_times_that_cannot_be_read_are_critical() -> None:
    result = schedule(Observation(now=NOW, plans=Plans(schedules=1, backups=1, unreadable=("nightly",))))
    assert (result.verdict, "nightly" in str(result.message)) == (Verdict.CRITICAL, True)


@pytest.mark.parametrize(
    ("run", "verdict", "words"),
    [
        (failed(), Verdict.CRITICAL, "“nightly” failed on 2026-03-02 11:00 UTC: Full."),
        (failed(state="missed"), Verdict.CRITICAL, "“nightly” was missed on 2026-03-02 11:00 UTC: Full."),
        (failed(kind="drill"), Verdict.WARNING, "“nightly” failed on 2026-03-02 11:00 UTC: Full."),
        (failed(is_paused=True), Verdict.CRITICAL, "“nightly”, which is paused, failed on 2026-03-02 11:00 UTC: Full."),
        (
            failed(state="missed", kind="drill", is_paused=True),
            Verdict.WARNING,
            "“nightly”, which is paused, was missed on 2026-03-02 11:00 UTC: Full.",
        ),
    ],
)
def test_a_run_that_failed_or_was_missed_is_told_with_its_reason(run: Unmended, verdict: Verdict, words: str) -> None:
    result = schedule_runs(Observation(now=NOW, plans=Plans(schedules=1, unmended=(run,))))
    assert (result.verdict, str(result.message)) == (verdict, words)


def test_what_failed_is_told_where_no_schedule_is_left_that_runs() -> None:
    result = schedule_runs(Observation(now=NOW, plans=Plans(unmended=(failed(is_paused=True),))))
    assert (result.verdict, "while the schedule is paused" in str(result.hint)) == (Verdict.CRITICAL, True)


def test_a_later_full_backup_mends_a_backup_but_not_a_drill() -> None:
    for run, verdict in ((failed(), Verdict.OK), (failed(kind="drill"), Verdict.WARNING)):
        seen = Observation(now=NOW, newest_backup=NOW, plans=Plans(schedules=1, unmended=(run,)))
        assert schedule_runs(seen).verdict == verdict


@pytest.mark.django_db
def test_plans_are_of_enabled_schedules_that_cover_the_database_and_runs_since_the_last_success() -> None:
    database, other = make_database(labels="big"), make_database()
    nightly = make_schedule(name="nightly", next_due_at=NOW)
    paused = make_schedule(name="paused", enabled=False)
    make_schedule(name="others", target="label", label="small")
    make_schedule(name="structure", scope="schema", next_due_at=None)
    drills = make_schedule(name="drills", target="label", label="big", kind="drill", next_due_at=NOW + HOUR)

    def run(row: Any, hours: int, state: str, of: Any = database) -> None:
        ScheduleRun.objects.create(schedule=row, database=of, due_at=NOW - hours * HOUR, state=state)

    run(nightly, 3, "failed")
    run(nightly, 2, "succeeded")
    run(nightly, 1, "skipped")
    run(nightly, 1, "missed", other)
    run(paused, 6, "failed")
    run(paused, 5, "missed")
    run(drills, 9, "missed")
    run(drills, 8, "failed")
    run(drills, 7, "skipped")
    found = plans(database)
    assert (found.schedules, found.backups, found.unreadable) == (3, 1, ("structure",))
    assert (found.next_backup, found.oldest_due) == (NOW, (NOW, "nightly"))
    told = [(each.schedule, each.state, each.is_paused) for each in found.unmended]
    assert told == [("paused", "missed", True), ("drills", "failed", False)]


@pytest.mark.django_db
def test_a_schedule_by_the_clocks_of_a_zone_that_is_unknown_here_is_not_due() -> None:
    make_schedule(name="nightly", time_zone="Mars/Base", next_due_at=NOW)
    found = plans(make_database())
    assert (found.unreadable, found.next_backup, found.oldest_due) == (("nightly",), None, None)


@pytest.mark.django_db
def test_plans_cost_two_queries(django_assert_num_queries: Any) -> None:
    database = make_database(labels="a, b")
    for number in range(20):
        ScheduleRun.objects.create(
            schedule=make_schedule(), database=database, due_at=NOW + number * HOUR, state="failed"
        )
    with django_assert_num_queries(2):
        assert len(plans(database).unmended) == 20

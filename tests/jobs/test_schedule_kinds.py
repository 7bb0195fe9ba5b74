"""What a schedule asks for at its moments, and of which databases."""

from __future__ import annotations

import pytest

from dbadmin import audit
from dbadmin.exceptions import Refused
from dbadmin.jobs.schedules import evaluate, run_now
from dbadmin.models import Database, Schedule
from tests.factories import make_application, make_backup, make_database
from tests.jobs.test_schedules import DAY, HOUR, NIGHT, only_run, planned
from tests.jobs.test_schedules import shop as shop

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("kind", ["drill", "verify"])
def test_drills_and_verifications_take_the_newest_good_backup(shop: Database, kind: str) -> None:
    schedule = planned(kind=kind, drill_kind="partial")
    make_backup(database=shop, finished_at=NIGHT)
    newest = make_backup(database=shop, finished_at=NIGHT + DAY)
    make_backup(database=shop, finished_at=NIGHT + 2 * DAY, state="damaged")
    [job] = evaluate(NIGHT)
    expected = {"schedule": schedule.pk, "backup": newest.pk} | ({"kind": "partial"} if kind == "drill" else {})
    assert (job.kind, job.params) == (kind, expected)


def test_a_drill_without_a_backup_is_skipped_and_says_so(shop: Database) -> None:
    planned(kind="drill")
    assert evaluate(NIGHT) == []
    assert (only_run().state, "no backup" in str(only_run().reason)) == ("skipped", True)


@pytest.mark.parametrize("kind", ["expire", "health", "maintenance"])
def test_other_kinds_become_jobs_of_that_kind(shop: Database, kind: str) -> None:
    planned(kind=kind)
    assert [job.kind for job in evaluate(NIGHT)] == [kind]


def test_applications_and_labels_choose_databases(shop: Database) -> None:
    camp = make_application()
    mine = make_database(application=camp)
    labelled = make_database(labels="big, nightly")
    make_database(labels="night")
    planned(name="application", target="application", application=camp)
    planned(name="label", target="label", label="nightly", kind="health")
    planned(name="chosen", target="databases", kind="expire").databases.add(shop)
    assert {(job.kind, job.database) for job in evaluate(NIGHT)} == {
        ("backup", mine), ("health", labelled), ("expire", shop),
    }  # fmt: skip
    assert list(Schedule.objects.covering(labelled)) == list(Schedule.objects.filter(name="label"))
    assert list(Schedule.objects.covering(shop)) == list(Schedule.objects.filter(name="chosen"))


def test_a_run_at_once_is_in_the_name_of_who_asked(shop: Database) -> None:
    schedule = planned(enabled=False)
    [run] = run_now(schedule, NIGHT - HOUR, actor=audit.Actor(name="ann"))
    assert (run.state, run.job.actor) == ("active", "ann")  # type: ignore[union-attr]
    Database.objects.update(removed_at=NIGHT)
    with pytest.raises(Refused, match="is for no database"):
        run_now(schedule, NIGHT, actor=audit.Actor(name="ann"))

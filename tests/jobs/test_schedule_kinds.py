"""What a schedule asks for at its moments, and of which databases."""

from __future__ import annotations

import pytest

from dbadmin import audit
from dbadmin.exceptions import Refused
from dbadmin.jobs.schedules import evaluate, run_now
from dbadmin.models import Database, Job, Schedule
from tests.factories import make_application, make_backup, make_database, make_job
from tests.jobs.planning import DAY, HOUR, MINUTE, NIGHT, end, only_run, planned

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


def test_who_asks_again_joins_what_has_not_ended(shop: Database) -> None:
    schedule, other, ann = planned(retries=1), make_database(), audit.Actor(name="ann")
    blocked = make_job(database=other, kind="restore")
    assert {run.state for run in run_now(schedule, NIGHT - HOUR, actor=ann)} == {"active", "waiting"}
    assert run_now(schedule, NIGHT - HOUR + MINUTE, actor=ann) == []
    end(Job.objects.get(kind="backup"), at=NIGHT - HOUR + MINUTE)  # no tick has seen it yet
    assert [run.database for run in run_now(schedule, NIGHT - HOUR + 2 * MINUTE, actor=ann)] == [shop]
    end(blocked, at=NIGHT - HOUR + 2 * MINUTE)
    evaluate(NIGHT - HOUR + 3 * MINUTE)
    for job in Job.objects.active():
        end(job, "failed", at=NIGHT - HOUR + 4 * MINUTE)
    evaluate(NIGHT - HOUR + 4 * MINUTE)  # both wait to be tried again; nobody has to wait for that
    assert len(run_now(schedule, NIGHT - HOUR + 5 * MINUTE, actor=ann)) == 2


def test_who_asks_joins_the_run_of_the_clock(shop: Database) -> None:
    schedule = planned()
    evaluate(NIGHT)
    assert run_now(schedule, NIGHT + MINUTE, actor=audit.Actor(name="ann")) == []
    assert only_run().due_at == NIGHT

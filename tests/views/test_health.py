from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from dbadmin.models import CheckResult, Database, Finding, Job
from dbadmin.text import Text
from tests.factories import make_application, make_database


def answer(database: Database, verdict: str, check_id: str = "size", minutes: int = 0) -> CheckResult:
    return CheckResult.objects.create(
        database=database,
        check_id=check_id,
        verdict=verdict,
        message=Text(f"It is {verdict}."),
        checked_at=timezone.now() - timedelta(minutes=minutes),
    )


def heading(client: Client, **query: str) -> str:
    return str(client.get("/health/", query).context["situation"])


def test_all_well_is_said_only_when_all_are(viewer: Client) -> None:
    first, second = make_database(), make_database()
    answer(first, "ok")
    answer(second, "ok")
    assert heading(viewer) == "All 2 databases are well"
    answer(second, "warning", "content")
    assert heading(viewer) == "1 of 2 databases needs attention"


def test_a_database_that_was_never_checked_is_not_well(viewer: Client) -> None:
    answer(make_database(), "ok")
    make_database()
    assert heading(viewer) == "Nobody can say how 1 of 2 databases is"
    assert "Never checked, so nobody can say." in viewer.get("/health/").content.decode()


def test_one_database_has_its_own_sentence(viewer: Client) -> None:
    database = make_database(slug="camp")
    assert heading(viewer, database="camp") == "nobody can say how it is"
    answer(database, "ok")
    assert heading(viewer, database="camp") == "is well"
    answer(database, "critical", "content")
    assert heading(viewer, database="camp") == "needs attention"


def test_an_old_answer_is_not_well(viewer: Client) -> None:
    answer(make_database(), "ok", minutes=31)
    assert heading(viewer) == "Nobody can say how 1 of 1 databases is"
    assert "was not checked in the last half hour" in viewer.get("/health/").content.decode()


def test_unknown_is_shown_as_unknown(viewer: Client) -> None:
    database = make_database()
    answer(database, "ok")
    answer(database, "unknown", "content")
    page = viewer.get("/health/").content.decode()
    assert "bg-purple-lt" in page
    assert "All" not in heading(viewer)


def test_open_findings_come_first_the_worst_on_top(viewer: Client) -> None:
    database = make_database()
    for check_id, verdict in (("size", "warning"), ("reachable", "critical"), ("content", "warning")):
        now = timezone.now()
        Finding.objects.create(
            database=database,
            check_id=check_id,
            verdict=verdict,
            message=Text(f"about {check_id}"),
            opened_at=now,
            last_seen_at=now,
            resolved_at=now if check_id == "content" else None,
        )
    found = viewer.get("/health/").context["findings"]
    assert [finding.check_id for finding in found] == ["reachable", "size"]


def test_it_filters_by_verdict_and_database(viewer: Client) -> None:
    camp, other = make_database(slug="camp"), make_database()
    answer(camp, "ok")
    answer(camp, "critical", "content")
    answer(other, "ok")

    def shown(**query: str) -> list[tuple[Database, int]]:
        return [(entry.database, len(entry.answers)) for entry in viewer.get("/health/", query).context["databases"]]

    assert shown(verdict="critical") == [(camp, 1)]
    assert shown(database="camp") == [(camp, 2)]
    assert shown(verdict="unknown") == []


def test_removed_databases_are_not_shown(viewer: Client) -> None:
    answer(make_database(removed_at=timezone.now()), "critical")
    assert heading(viewer) == "No database is registered yet"


def test_the_number_of_queries_does_not_grow(viewer: Client, django_assert_num_queries: Any) -> None:
    application = make_application()
    answer(make_database(application=application), "ok")
    with django_assert_num_queries(8):
        viewer.get("/health/")
    for _ in range(49):
        answer(make_database(application=application), "ok")
    with django_assert_num_queries(8):
        viewer.get("/health/")


def test_check_now_asks_for_all_or_for_one(operator: Client) -> None:
    make_database()
    camp = make_database(slug="camp")
    response = operator.post("/health/run/", {"database": "camp"})
    job = Job.objects.get()
    assert (response.url, job.database, job.kind) == (job.get_absolute_url(), camp, "health")
    response = operator.post("/health/run/", follow=True)
    assert "1 health check started." in response.content.decode()
    assert Job.objects.count() == 2


def test_asking_twice_leads_to_the_same_check(operator: Client) -> None:
    make_database(slug="camp")
    first = operator.post("/health/run/", {"database": "camp"})
    second = operator.post("/health/run/", {"database": "camp"}, follow=True)
    assert second.redirect_chain == [(first.url, 302)]
    assert "already under way" in second.content.decode()


def test_viewers_do_not_check(viewer: Client, operator: Client, client: Client) -> None:
    assert viewer.post("/health/run/").status_code == 403
    assert operator.get("/health/run/").status_code == 405
    assert viewer.post("/health/").status_code == 405
    assert client.get("/health/").status_code == 302
    assert operator.post("/health/run/", {"database": "none"}).status_code == 404

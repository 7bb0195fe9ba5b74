from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dbadmin.models import AuditEvent, Drill, Job, JobLogLine
from dbadmin.text import Text
from tests.factories import make_backup, make_database, make_job


def running(**overrides: Any) -> Job:
    return make_job(**{"state": "running", "started_at": timezone.now()} | overrides)


def write(job: Job, *lines: str) -> list[JobLogLine]:
    return [JobLogLine.objects.create(job=job, text=Text(line)) for line in lines]


def test_it_lists_the_newest_first_and_filters(viewer: Client) -> None:
    database = make_database(slug="camp")
    old = make_job(state="failed", database=database)
    new = make_job(kind="health", state="succeeded")

    def shown(**query: str) -> list[Job]:
        return list(viewer.get("/jobs/", query).context["page"].rows)

    assert shown() == [new, old]
    assert shown(kind="health") == [new]
    assert shown(state="failed") == shown(database="camp") == [old]


def test_the_number_of_queries_does_not_grow(viewer: Client, django_assert_num_queries: Any) -> None:
    make_job(state="succeeded")
    with django_assert_num_queries(8):
        viewer.get("/jobs/")
    for _ in range(49):
        make_job(state="succeeded")
    with django_assert_num_queries(8):
        viewer.get("/jobs/")


def test_a_running_job_shows_where_it_is(viewer: Client) -> None:
    job = running(phase=Text("Dumping"), done=25, total=100, unit="rows", rate=5, current="public.orders", actor="sato")
    page = viewer.get(job.get_absolute_url()).content.decode()
    for expected in ("Dumping", "25 %", 'value="25"', "about 15 s left", "public.orders", "by sato"):
        assert expected in page
    assert "style=" not in page.replace("stylesheet", "")


def test_the_live_part_asks_again_only_while_the_job_is_active(viewer: Client) -> None:
    job = running()
    url = reverse("job-live", args=[job.pk])
    response = viewer.get(url)
    assert "hx-trigger" in response.content.decode()
    assert "HX-Trigger" not in response
    Job.objects.update(state="succeeded", finished_at=timezone.now())
    response = viewer.get(url)
    assert response.content.decode().count("hx-") == response.content.decode().count('hx-swap-oob="true"') == 1
    assert response["HX-Trigger"] == "job-finished"


def test_the_page_learns_when_the_job_was_started(viewer: Client) -> None:
    job = make_job()
    assert 'id="job-started">–<' in viewer.get(job.get_absolute_url()).content.decode()
    Job.objects.update(state="running", started_at=datetime(2026, 11, 21, 3, 4, tzinfo=UTC))
    answer = viewer.get(reverse("job-live", args=[job.pk])).content.decode()
    assert 'id="job-started" hx-swap-oob="true"><time' in answer
    assert "2026-11-21 03:04" in answer


def test_a_row_of_the_list_asks_again_only_while_its_job_is_active(viewer: Client) -> None:
    url = reverse("job-row", args=[running().pk])
    assert "hx-get" in viewer.get("/jobs/").content.decode()
    assert "hx-get" in viewer.get(url).content.decode()
    Job.objects.update(state="failed")
    assert "hx-get" not in viewer.get(url).content.decode()


def test_the_log_continues_after_the_last_line(viewer: Client) -> None:
    job = running()
    first, second = write(job, "one", "two")
    page = viewer.get(reverse("job-log", args=[job.pk]), {"after": first.pk}).content.decode()
    assert "two" in page
    assert "one" not in page
    assert f"after={second.pk}" in page


def test_the_log_of_a_finished_job_stops_asking(viewer: Client) -> None:
    job = make_job(state="succeeded")
    write(job, "last")
    page = viewer.get(reverse("job-log", args=[job.pk]), {"after": "nonsense"}).content.decode()
    assert "last" in page
    assert "hx-get" not in page


def test_a_long_log_is_cut_and_can_be_had_whole(viewer: Client) -> None:
    job = make_job(state="succeeded")
    JobLogLine.objects.bulk_create(JobLogLine(job=job, text=Text(f"line {number}.")) for number in range(600))
    page = viewer.get(job.get_absolute_url()).content.decode()
    assert "line 599." in page
    assert "line 7." not in page
    assert "line 7." in viewer.get(job.get_absolute_url(), {"lines": "all"}).content.decode()


def test_a_failure_says_what_why_and_what_to_do(viewer: Client) -> None:
    job = make_job(state="failed", message=Text("No space."), hint=Text("Free some."), error_class="StorageError")
    page = viewer.get(job.get_absolute_url()).content.decode()
    for expected in ("No space.", "Free some.", "StorageError"):
        assert expected in page


def test_a_traceback_is_for_superusers(admin: Client) -> None:
    job = make_job(state="errored", traceback="ZeroDivisionError in secret_place")
    assert "secret_place" not in admin.get(job.get_absolute_url()).content.decode()
    root = Client()
    root.force_login(User.objects.create_superuser("root"))
    assert "secret_place" in root.get(job.get_absolute_url()).content.decode()


def test_it_links_what_it_made_and_what_repeats_it(viewer: Client) -> None:
    lost = make_job(state="lost")
    again = make_job(state="succeeded", database=lost.database, retry_of=lost, attempt=2)
    backup = make_backup(job=again)
    assert again.get_absolute_url() in viewer.get(lost.get_absolute_url()).content.decode()
    page = viewer.get(again.get_absolute_url()).content.decode()
    assert lost.get_absolute_url() in page
    assert backup.get_absolute_url() in page


def test_a_waiting_job_is_cancelled_at_once(operator: Client) -> None:
    job = make_job()
    assert operator.post(reverse("job-cancel", args=[job.pk])).url == job.get_absolute_url()
    assert Job.objects.get().state == "cancelled"
    assert AuditEvent.objects.latest("pk").action == "job.cancel"


def test_a_running_job_is_asked_to_stop(operator: Client) -> None:
    job = running()
    response = operator.post(reverse("job-cancel", args=[job.pk]), follow=True)
    page = response.content.decode()
    assert "asked to stop" in page
    assert reverse("job-cancel", args=[job.pk]) not in page


def test_a_job_that_is_over_cannot_be_cancelled(operator: Client) -> None:
    job = make_job(state="succeeded")
    response = operator.post(reverse("job-cancel", args=[job.pk]), follow=True)
    assert "The job is over already" in response.content.decode()


def test_viewers_see_but_do_not_cancel(viewer: Client, operator: Client, client: Client) -> None:
    job = running()
    url = reverse("job-cancel", args=[job.pk])
    assert url not in viewer.get(job.get_absolute_url()).content.decode()
    assert viewer.post(url).status_code == 403
    assert operator.get(url).status_code == 405
    for name in ("job", "job-live", "job-row", "job-log"):
        assert client.get(reverse(name, args=[job.pk])).status_code == 302
        assert viewer.post(reverse(name, args=[job.pk])).status_code == 405


def test_a_job_that_is_over_leads_to_what_it_found(viewer: Client) -> None:
    backup = make_backup()
    drilled = make_job(kind="drill", state="succeeded", params={"backup": backup.pk})
    report = Drill.objects.create(backup=backup, job=drilled, kind="full", started_at=timezone.now())
    verified = make_job(kind="verify", state="succeeded", params={"backup": backup.pk})
    for job, address in ((drilled, report.get_absolute_url()), (verified, backup.get_absolute_url())):
        assert f'class="btn btn-primary" href="{address}"' in viewer.get(job.get_absolute_url()).content.decode()

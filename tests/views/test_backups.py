from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dbadmin.jobs.execution import run_now
from dbadmin.models import AuditEvent, Backup, Database, Job
from tests.factories import make_application, make_backup, make_database, make_job, make_storage

URL = "/backups/"


def keys(client: Client, **query: Any) -> list[str]:
    return [backup.key for backup in client.get(URL, query).context["page"].rows]


def test_it_lists_the_newest_first(viewer: Client) -> None:
    now = timezone.now()
    make_backup(key="old", finished_at=now - timedelta(days=1))
    make_backup(key="new", finished_at=now)
    assert keys(viewer) == ["new", "old"]
    assert keys(viewer, sort="oldest") == ["old", "new"]


def test_it_sorts_by_size(viewer: Client) -> None:
    make_backup(key="small", size=1)
    make_backup(key="large", size=9)
    assert keys(viewer, sort="largest") == ["large", "small"]
    assert keys(viewer, sort="smallest") == ["small", "large"]


def test_every_filter_narrows(viewer: Client) -> None:
    camp = make_application(slug="camp")
    wanted = make_database(slug="wanted", engine="postgresql", application=camp)
    make_backup(key="other", scope="schema")
    make_backup(key="camp/needle", database=wanted, state="damaged", finished_at=timezone.now() - timedelta(days=40))
    until = (timezone.localdate() - timedelta(days=30)).isoformat()
    for query in (
        {"application": "camp"},
        {"database": "wanted"},
        {"engine": "postgresql"},
        {"scope": "full"},
        {"state": "damaged"},
        {"until": until},
        {"text": "needle"},
    ):
        assert keys(viewer, **query) == ["camp/needle"], query
    assert keys(viewer, since=until) == ["other"]


def test_a_day_ends_at_its_end(viewer: Client) -> None:
    now = timezone.now()
    make_backup(key="today", finished_at=now)
    assert keys(viewer, since=now.date().isoformat(), until=now.date().isoformat()) == ["today"]


def test_a_filter_that_cannot_be_read_is_said_and_ignored(viewer: Client) -> None:
    make_backup(key="here")
    response = viewer.get(URL, {"since": "soon", "state": "lost", "database": "none", "after": "x"})
    assert [backup.key for backup in response.context["page"].rows] == ["here"]
    assert set(response.context["filter"].errors) == {"since", "state", "database"}


def test_the_number_of_queries_does_not_grow(viewer: Client, django_assert_num_queries: Any) -> None:
    storage = make_storage()
    make_backup(storage=storage)
    with django_assert_num_queries(9):
        viewer.get(URL)
    for _ in range(49):
        make_backup(storage=storage)
    with django_assert_num_queries(9):
        viewer.get(URL)


def test_only_those_who_may_see_backups_see_them(client: Client, viewer: Client) -> None:
    assert client.get(URL).status_code == 302
    assert viewer.post(URL).status_code == 405


def test_nothing_yet_and_nothing_found_are_told_apart(viewer: Client) -> None:
    assert "There is no backup yet" in viewer.get(URL).content.decode()
    assert "No backup is like that" in viewer.get(URL, {"text": "x"}).content.decode()


def test_back_up_now_leads_to_the_job(operator: Client, database: Database) -> None:
    response = operator.post(reverse("backup-run", args=["shop"]))
    job = Job.objects.get()
    assert response.url == job.get_absolute_url()
    assert (job.kind, job.params, job.actor) == ("backup", {"scope": "full"}, "operator")
    assert AuditEvent.objects.latest("pk").action == "backup.run"


def test_a_double_click_lands_on_the_same_job(operator: Client, database: Database) -> None:
    first = operator.post(reverse("backup-run", args=["shop"]))
    second = operator.post(reverse("backup-run", args=["shop"]), follow=True)
    assert second.redirect_chain == [(first.url, 302)]
    assert "already under way" in second.content.decode()


def test_a_backup_during_a_restore_leads_to_the_restore(operator: Client, database: Database) -> None:
    restoring = make_job(database=database, kind="restore", state="running")
    response = operator.post(reverse("backup-run", args=["shop"]), follow=True)
    assert response.redirect_chain == [(restoring.get_absolute_url(), 302)]
    assert "Wait until it is over" in response.content.decode()


def test_a_removed_database_is_not_backed_up(operator: Client, database: Database) -> None:
    Database.objects.update(removed_at=timezone.now())
    assert operator.post(reverse("backup-run", args=["shop"])).status_code == 404


def test_viewers_do_not_start_backups(viewer: Client, database: Database) -> None:
    assert viewer.post(reverse("backup-run", args=["shop"])).status_code == 403
    assert viewer.post(reverse("backup-run-all")).status_code == 403
    assert not Job.objects.exists()


def test_a_backup_is_not_started_by_a_link(operator: Client, database: Database) -> None:
    assert operator.get(reverse("backup-run", args=["shop"])).status_code == 405
    assert operator.get(reverse("backup-run-all")).status_code == 405


def test_all_are_started_and_what_could_not_be_is_said(operator: Client, database: Database) -> None:
    busy = make_database(name="Busy")
    make_job(database=busy, kind="restore", state="running")
    response = operator.post(reverse("backup-run-all"), follow=True)
    page = response.content.decode()
    assert "1 backup started." in page
    assert "Busy: A restore of this database is active" in page
    assert Job.objects.get(kind="backup").database == database


def test_all_of_one_application(operator: Client, database: Database) -> None:
    make_database()
    operator.post(reverse("backup-run-all"), {"application": database.application.slug})
    assert Job.objects.get().database == database


@pytest.mark.django_db(transaction=True)
def test_verifying_a_sound_archive_says_so(operator: Client, backup: Backup) -> None:
    Backup.objects.update(verified_at=None)
    operator.post(reverse("backup-verify", args=[backup.pk]))
    assert "Every byte of the archive is as it was stored." in str(run_now(Job.objects.get()).message)
    backup.refresh_from_db()
    assert backup.verified_at
    assert AuditEvent.objects.get(action="backup.verify").details["backup"] == backup.pk

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from tests.factories import make_database, make_job, make_worker


def page(client: Client) -> str:
    response = client.get("/workers/")
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_nobody_works_and_the_page_says_what_to_run(viewer: Client) -> None:
    assert "No worker runs. No job waits." in page(viewer)
    assert "manage.py worker" in page(viewer)


def test_who_works_on_what_is_told(viewer: Client) -> None:
    worker = make_worker()
    make_worker(host="osaka 1")
    job = make_job(state="running", worker=worker.name, host=worker.host, done=42, total=100)
    make_job()
    shown = page(viewer)
    assert "2 workers run on 2 machines. 1 job waits." in shown
    assert job.get_absolute_url() in shown
    assert "42 %" in shown
    assert "another version" not in shown


def test_a_worker_of_another_version_is_warned_of(viewer: Client) -> None:
    make_worker(version="0.0.1+00000000")
    assert "1 worker was started from another version" in page(viewer)


def test_the_ended_and_the_silent_are_not_counted(viewer: Client) -> None:
    make_worker(stopped_at=timezone.now())
    make_worker(heartbeat_at=timezone.now() - timedelta(minutes=2))
    shown = page(viewer)
    assert "No worker runs." in shown
    assert "Ended" in shown
    assert "Silent" in shown


def test_a_site_without_a_worker_is_named_everywhere(viewer: Client) -> None:
    make_worker()
    job = make_job(database=make_database(site="osaka"), created_at=timezone.now() - timedelta(minutes=2))
    for path in ("/workers/", "/jobs/", "/"):
        assert "manage.py worker --site osaka" in viewer.get(path).content.decode(), path
    assert "worker of the site “osaka”" in viewer.get(job.get_absolute_url()).content.decode()


def test_a_job_that_has_just_been_asked_for_alarms_nobody(viewer: Client) -> None:
    make_job()
    assert "alert-warning" not in viewer.get("/").content.decode()


def test_the_number_of_queries_does_not_grow(viewer: Client, django_assert_num_queries: Any) -> None:
    make_worker()
    with django_assert_num_queries(10):
        page(viewer)
    for number in range(5):
        worker = make_worker(host=f"machine-{number} 1")
        make_job(state="running", worker=worker.name, host=worker.host)
        make_job(database=make_database(site=f"site-{number}"))
    with django_assert_num_queries(10):
        page(viewer)


def test_the_command_lists_them(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    worker = make_worker()
    call_command("worker", "--list", "--json")
    (row,) = json.loads(capsys.readouterr().out)["results"]
    assert (row["name"], row["alive"], row["same_version"], row["queues"]) == (
        worker.name,
        True,
        True,
        ["long", "short"],
    )
    make_database(site="osaka")
    with pytest.raises(SystemExit) as ended:
        call_command("worker", "--list")
    assert ended.value.code == 1
    assert "manage.py worker --site osaka" in capsys.readouterr().out

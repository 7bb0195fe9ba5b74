from __future__ import annotations

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from tests.factories import make_job

LONG_AGO = timedelta(minutes=5)


def test_a_working_installation_is_ok(db: None) -> None:
    make_job()
    assert Client().get("/healthz").content == b"ok"


def test_a_job_that_nobody_takes_means_that_there_is_no_worker(db: None) -> None:
    make_job(created_at=timezone.now() - LONG_AGO)
    response = Client().get("/healthz")
    assert (response.status_code, response.content) == (503, b"worker")


def test_a_job_that_nobody_renews_means_that_there_is_no_worker(db: None) -> None:
    make_job(state="running", lease_until=timezone.now() - LONG_AGO)
    assert Client().get("/healthz").status_code == 503


def test_waiting_behind_a_running_job_is_ok(db: None) -> None:
    make_job(created_at=timezone.now() - LONG_AGO)
    make_job(state="running", lease_until=timezone.now() + LONG_AGO)
    assert Client().get("/healthz").status_code == 200

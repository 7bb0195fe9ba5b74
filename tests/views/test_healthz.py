from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tests.factories import make_database, make_job, make_worker

LONG_AGO = timedelta(minutes=5)


def answer() -> tuple[int, bytes]:
    response = Client().get("/healthz")
    return response.status_code, response.content


@pytest.fixture
def worker(db: None) -> None:
    make_worker()


def test_a_working_installation_is_ok(worker: None) -> None:
    make_job()
    assert answer() == (200, b"ok")


def test_without_any_worker_it_is_not(db: None) -> None:
    make_worker(stopped_at=timezone.now())
    make_worker(heartbeat_at=timezone.now() - LONG_AGO)
    assert answer() == (503, b"worker")


def test_a_job_that_nobody_takes_means_that_there_is_no_worker(worker: None) -> None:
    make_job(created_at=timezone.now() - LONG_AGO)
    assert answer() == (503, b"worker")


def test_a_job_that_nobody_renews_means_that_there_is_no_worker(worker: None) -> None:
    make_job(state="running", lease_until=timezone.now() - LONG_AGO)
    assert answer() == (503, b"worker")


def test_waiting_behind_a_running_job_is_ok(worker: None) -> None:
    make_job(created_at=timezone.now() - LONG_AGO)
    make_job(state="running", lease_until=timezone.now() + LONG_AGO)
    assert answer() == (200, b"ok")


def test_a_site_that_nobody_works_for_is_not_ok(worker: None) -> None:
    make_job(created_at=timezone.now() - LONG_AGO, database=make_database(site="osaka"))
    make_job(state="running", lease_until=timezone.now() + LONG_AGO)
    assert answer() == (503, b"worker")

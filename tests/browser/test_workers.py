from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dbadmin.text import Text
from tests.browser.layout import overflow
from tests.factories import make_database, make_job, make_worker

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_page_follows_the_workers_and_fits_a_telephone(page: Page) -> None:
    page.goto("/workers/")
    expect(page.get_by_text("No worker was seen in the last day")).to_be_visible()
    worker = make_worker(host="backup-worker-with-a-long-name.osaka.example.jp 12345678", queues=["long@osaka", "long"])
    make_worker(host="old 1", version="0.0.1+12345678", heartbeat_at=timezone.now() - timedelta(minutes=3))
    make_job(
        state="running",
        worker=worker.name,
        host=worker.host,
        phase=Text("Dumping"),
        done=42,
        total=100,
        database=make_database(site="osaka"),
    )
    make_worker(version="0.0.1+87654321")
    expect(page.get_by_text("2 workers run on 2 machines.")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Dumping · 42 %")).to_be_visible()
    expect(page.get_by_text("manage.py worker --site osaka")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    assert overflow(page) == 0

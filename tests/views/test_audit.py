from __future__ import annotations

import csv
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from dbadmin.audit import Actor, record
from dbadmin.models import AuditEvent
from tests.factories import make_backup

SATO = Actor(name="sato", address="192.0.2.7")


def actions(client: Client, **query: str) -> list[str]:
    shown = client.get("/audit/", query).context["page"].rows
    return [event.action for event in shown if event.action != "login"]


def test_it_shows_who_what_from_where_and_why(operator: Client) -> None:
    backup = make_backup()
    record(SATO, "backup.download", backup, reason="Ticket 7", file="x.tar")
    page = operator.get("/audit/").content.decode()
    for expected in ("sato", "192.0.2.7", "backup.download", backup.get_absolute_url(), "Ticket 7", "x.tar"):
        assert expected in page


def test_details_are_named_and_written_for_people(operator: Client) -> None:
    record(SATO, "drill.complete", state="different", differences=0, size=2048, rows=8041, content=True, own="<b>")
    page = operator.get("/audit/").content.decode()
    # in no order: PostgreSQL keeps none
    for said in (
        "state Differences found",
        "differences 0",
        "size 2.0\xa0KB",
        "rows 8,041",
        "every row yes",
        "own &lt;b&gt;",
    ):
        assert said in page


def test_every_filter_narrows(operator: Client) -> None:
    record(SATO, "backup.run", make_backup(key="camp/7"))
    old = record(Actor(name="cron"), "job.cancel")
    AuditEvent.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(days=9))
    today = timezone.localdate().isoformat()
    for query in ({"actor": "sato"}, {"action": "backup."}, {"object": "CAMP"}, {"since": today}):
        assert actions(operator, **query) == ["backup.run"], query
    assert actions(operator, until=(timezone.localdate() - timedelta(days=1)).isoformat()) == ["job.cancel"]


def test_the_number_of_queries_does_not_grow(operator: Client, django_assert_num_queries: Any) -> None:
    record(SATO, "x")
    with django_assert_num_queries(6):
        operator.get("/audit/")
    for _ in range(60):
        record(SATO, "x")
    with django_assert_num_queries(6):
        operator.get("/audit/")


def test_csv_has_every_filtered_event_and_no_formula(operator: Client) -> None:
    record(SATO, "x", reason="=HYPERLINK(1)")
    record(Actor(name="+cmd"), "y", reason='日本, "quoted"\nline')
    response = operator.get("/audit/csv/", {"actor": "sato"})
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["actor"], row["reason"]) for row in rows] == [("sato", "'=HYPERLINK(1)")]
    everything = b"".join(operator.get("/audit/csv/").streaming_content).decode("utf-8-sig")
    assert "'+cmd" in everything
    assert '"日本, ""quoted""\nline"' in everything
    assert AuditEvent.objects.filter(action="audit.download").count() == 2


def test_viewers_do_not_see_the_trail(viewer: Client, operator: Client, client: Client) -> None:
    for url in ("/audit/", "/audit/csv/"):
        assert viewer.get(url).status_code == 403
        assert client.get(url).status_code == 302
        assert operator.post(url).status_code == 405

from __future__ import annotations

from typing import Any

from django.test import Client
from django.utils import timezone

from dbadmin.models import AppliedMigration, Database, Job, MigrationStatus
from dbadmin.text import Text
from tests.factories import make_database


def status(database: Database, **overrides: Any) -> MigrationStatus:
    defaults = {"tool": "alembic", "head": "ab12", "applied": 3, "read_at": timezone.now()}
    return MigrationStatus.objects.create(database=database, **defaults | overrides)


def migration(database: Database, revision: str, **overrides: Any) -> AppliedMigration:
    now = timezone.now()
    defaults = {"tool": "alembic", "state": "applied", "first_seen_at": now, "last_seen_at": now}
    return AppliedMigration.objects.create(database=database, revision=revision, **defaults | overrides)


def test_it_shows_head_counts_and_problem(viewer: Client) -> None:
    status(make_database(name="Camp"), pending=2, problem=Text("A file is missing."))
    page = viewer.get("/migrations/").content.decode()
    for expected in ("Camp", "alembic", "ab12", "A file is missing."):
        assert expected in page


def test_what_cannot_be_told_is_unknown_and_not_zero(viewer: Client) -> None:
    status(make_database(), pending=None)
    assert "unknown" in viewer.get("/migrations/").content.decode()


def test_one_database_shows_every_migration_newest_first(viewer: Client) -> None:
    camp = make_database(slug="camp")
    status(camp)
    migration(camp, "first", position=1)
    migration(camp, "second", position=2, state="file_missing", disappeared_at=timezone.now())
    migration(make_database(), "foreign")
    response = viewer.get("/migrations/", {"database": "camp"})
    page = response.content.decode()
    assert page.index("second") < page.index("first")
    assert "foreign" not in page
    assert "Applied, file missing" in page
    assert "gone since" in page


def test_without_any_it_explains_the_project_folder(viewer: Client) -> None:
    assert "Name the project folder" in viewer.get("/migrations/").content.decode()


def test_the_number_of_queries_does_not_grow(viewer: Client, django_assert_num_queries: Any) -> None:
    status(make_database(engine="postgresql"))
    with django_assert_num_queries(7):
        viewer.get("/migrations/")
    for _ in range(49):
        status(make_database(engine="postgresql"))
    with django_assert_num_queries(7):
        viewer.get("/migrations/")


def test_read_now_asks_for_all_that_have_sql_or_for_one(operator: Client) -> None:
    make_database(engine="files")
    make_database(engine="postgresql")
    camp = make_database(slug="camp")
    response = operator.post("/migrations/read/", {"database": "camp"})
    job = Job.objects.get()
    assert (response.url, job.database, job.kind) == (job.get_absolute_url(), camp, "history")
    operator.post("/migrations/read/")
    assert Job.objects.count() == 2


def test_viewers_do_not_ask(viewer: Client, operator: Client, client: Client) -> None:
    assert viewer.post("/migrations/read/").status_code == 403
    assert operator.get("/migrations/read/").status_code == 405
    assert viewer.post("/migrations/").status_code == 405
    assert client.get("/migrations/").status_code == 302

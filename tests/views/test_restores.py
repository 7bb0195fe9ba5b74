from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dbadmin.backups.missing import ask_for, store_missing
from dbadmin.engines.base import ReportLine
from dbadmin.models import AuditEvent, Backup, Database, Job, Restore
from dbadmin.progress import Silent
from dbadmin.text import Text
from tests.backups.files import stored
from tests.factories import make_backup, make_database, make_storage


def ask(client: Client, backup: Backup, **query: str) -> Any:
    return client.get(reverse("restore-new", args=[backup.pk]), query)


def start(client: Client, backup: Backup, **values: str) -> Any:
    return client.post(reverse("restore-new", args=[backup.pk]), {"server": "shop", **values})


def verdicts(response: Any) -> dict[str, str]:
    return {item.name.msgid: item.verdict for item in response.context["preflight"].items}


def test_it_proposes_a_name_that_says_what_it_is(admin: Client, backup: Backup) -> None:
    name = f"shop_restored_{timezone.localdate():%Y%m%d}.db"
    assert f'value="{name}"' in ask(admin, backup).content.decode()


def test_it_proposes_another_name_the_second_time(admin: Client, backup: Backup) -> None:
    name = f"shop_restored_{timezone.localdate():%Y%m%d}"
    Restore.objects.create(backup=backup, target=f"/srv/{name}.db", state="exact", started_at=timezone.now())
    assert f'value="{name}_2.db"' in ask(admin, backup).content.decode()


def test_looking_ahead_finds_nothing_wrong(admin: Client, backup: Backup) -> None:
    response = ask(admin, backup, server="shop", target="copy.db")
    assert set(verdicts(response).values()) == {"ok"}
    assert "Restore into copy.db" in response.content.decode()
    assert not Job.objects.exists()


def test_a_copy_in_another_storage_can_be_chosen(admin: Client, backup: Backup) -> None:
    assert "Read from" not in ask(admin, backup).content.decode()
    other = make_storage(name="Elsewhere")
    ask_for(backup, other)
    store_missing(backup.database, Silent())
    assert "Read from" in ask(admin, backup).content.decode()
    stored(backup, "backup.tar").unlink()
    chosen = {"target": "copy.db", "storage": str(other.pk)}
    assert verdicts(ask(admin, backup, server="shop", **chosen))["Archive"] == "ok"
    start(admin, backup, **chosen)
    assert Job.objects.get().params["from_storage"] == other.pk
    bad = {"target": "copy.db", "storage": str(backup.storage.pk)}
    assert verdicts(ask(admin, backup, server="shop", **bad))["Archive"] == "critical"


def test_what_exists_is_not_restored_over(admin: Client, backup: Backup) -> None:
    response = ask(admin, backup, server="shop", target="shop.db")
    assert verdicts(response)["Target"] == "critical"
    page = response.content.decode()
    assert "Choose a new name, or replace the registered database." in page
    assert "Restore into" not in page


def test_a_missing_archive_stops_it(admin: Client, backup: Backup) -> None:
    stored(backup, "backup.tar").unlink()
    assert verdicts(ask(admin, backup, server="shop", target="copy.db"))["Archive"] == "critical"


def test_a_cut_archive_stops_it(admin: Client, backup: Backup) -> None:
    stored(backup, "backup.tar").write_bytes(b"x")
    response = ask(admin, backup, server="shop", target="copy.db")
    assert "The archive has 1 bytes instead of" in response.content.decode()


def test_a_damaged_backup_stops_it(admin: Client, backup: Backup) -> None:
    Backup.objects.update(state="damaged")
    assert not ask(admin, backup, server="shop", target="copy.db").context["preflight"].may_start


def test_a_server_that_does_not_answer_stops_it(admin: Client, backup: Backup) -> None:
    make_database(slug="gone", settings={"path": "/nonexistent/gone.db"})
    assert verdicts(ask(admin, backup, server="gone", target="copy.db"))["Server and tools"] == "critical"


def test_what_was_chosen_can_be_changed(admin: Client, backup: Backup) -> None:
    response = ask(admin, backup, server="shop", target="copy.db", change="1")
    assert "preflight" not in response.context
    assert 'value="copy.db"' in response.content.decode()


def test_confirming_starts_one_job_and_goes_to_it(admin: Client, backup: Backup) -> None:
    response = start(admin, backup, target="copy.db", reason="Ticket 7")
    job = Job.objects.get()
    assert response.url == job.get_absolute_url()
    assert job.params == {"backup": backup.pk, "target_name": "copy.db", "server": "shop", "keep_owners": True}
    assert AuditEvent.objects.get(action="restore.run").reason == "Ticket 7"


@pytest.mark.parametrize("target", ["shop.db", "../evil.db", "a/b.db", "copy.db-wal"])
def test_a_bad_name_starts_nothing(admin: Client, backup: Backup, target: str) -> None:
    response = start(admin, backup, target=target)
    assert response.status_code == 302
    assert "target=" in response.url
    assert not Job.objects.exists()


def test_a_server_of_another_kind_is_not_offered(admin: Client, backup: Backup) -> None:
    make_database(slug="pg", engine="postgresql")
    assert start(admin, backup, target="copy.db", server="pg").status_code == 422
    assert not Job.objects.exists()


def test_a_second_restore_leads_to_the_first(admin: Client, backup: Backup) -> None:
    first = start(admin, backup, target="copy.db")
    assert start(admin, backup, target="other.db").url == first.url


def test_only_admins_restore(viewer: Client, operator: Client, admin: Client, backup: Backup) -> None:
    for client in (viewer, operator):
        assert ask(client, backup).status_code == 403
        assert start(client, backup, target="copy.db").status_code == 403
    assert admin.put(reverse("restore-new", args=[backup.pk])).status_code == 405


def test_the_report_shows_lines_differences_and_what_is_next(viewer: Client) -> None:
    database = make_database(engine="postgresql", settings={"name": "camp", "user": "u"})
    restore = Restore.objects.create(
        backup=make_backup(database=database),
        target="[::1]:5433/camp copy",
        state="different",
        started_at=timezone.now(),
        finished_at=timezone.now(),
        lines=[{"level": "error", "object": "TABLE x", "message": "role “y” is missing"}],
        differences=[{"subject": "public.x", "expected": "7", "found": "0"}],
    )
    page = viewer.get(restore.get_absolute_url()).content.decode()
    for expected in ("not equal to the backup", "TABLE x", "role “y” is missing", "public.x"):
        assert expected in page
    assert "psql -h ::1 -p 5433 -U u -d &#x27;camp copy&#x27;" in page


def test_a_failed_restore_leads_on(viewer: Client, operator: Client) -> None:
    backup = make_backup()
    failed = Restore.objects.create(backup=backup, target="x", state="failed", started_at=timezone.now())
    others = f'href="{reverse("backups")}?database={backup.database.slug}"'
    again = reverse("backup-run", args=[backup.database.slug])
    page = viewer.get(failed.get_absolute_url()).content.decode()
    assert others in page
    assert again not in page
    assert again in operator.get(failed.get_absolute_url()).content.decode()
    Database.objects.update(removed_at=timezone.now())
    assert again not in operator.get(failed.get_absolute_url()).content.decode()


def test_our_own_words_in_a_report_are_in_the_readers_language(viewer: Client) -> None:
    line = ReportLine(level="error", object="", message=Text("Differences: {count}.", count=7))
    lines = [line.to_json(), ReportLine(level="error", object="x", message="a tool's words").to_json()]
    failed = Restore.objects.create(
        backup=make_backup(), target="x", state="failed", started_at=timezone.now(), lines=lines
    )
    page = viewer.get(failed.get_absolute_url(), headers={"accept-language": "ja"}).content.decode()
    assert "相違: 7 件。" in page
    assert "a tool&#x27;s words" in page


@pytest.mark.parametrize(
    ("engine", "tables", "compared"),
    [
        ("postgresql", [], "2 tables, 1,008 rows"),
        ("postgresql", ["public.x"], "1 table, 1 row<"),
        ("files", [], "2 files<"),
        ("files", ["public.x"], "1 file<"),
    ],
)
def test_the_report_says_how_much_was_compared(viewer: Client, engine: str, tables: list[str], compared: str) -> None:
    backup = make_backup(database=make_database(engine=engine), facts={"tables": {"public.x": 1, "public.y": 1007}})
    done = {"started_at": timezone.now(), "finished_at": timezone.now(), "state": "exact", "target": "x"}
    page = viewer.get(Restore.objects.create(backup=backup, tables=tables, **done).get_absolute_url()).content.decode()
    assert f">{compared}" in page


def test_a_report_answers_only_to_reading(viewer: Client, client: Client) -> None:
    restore = Restore.objects.create(backup=make_backup(), target="x", started_at=timezone.now())
    assert viewer.post(restore.get_absolute_url()).status_code == 405
    assert client.get(restore.get_absolute_url()).status_code == 302


def test_the_original_is_untouched_by_looking(admin: Client, backup: Backup, database: Database) -> None:
    path = Path(database.settings["path"])
    before = path.read_bytes(), path.stat().st_mtime_ns
    ask(admin, backup, server="shop", target="copy.db")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dbadmin.archives.age import new_identity
from dbadmin.choices import BackupState, Scope, Verdict
from dbadmin.models import Backup, EncryptionKey, Finding, Job
from dbadmin.overview import gather
from dbadmin.text import Text
from tests.factories import make_backup, make_database, make_job, make_schedule, make_storage


def page(client: Client) -> str:
    return client.get("/").content.decode()


def test_a_newcomer_is_told_what_to_do(admin: Client, viewer: Client) -> None:
    assert "/databases/add/" in page(admin)
    assert "An administrator has to add it" in page(viewer)


def test_the_sentence_says_when_everything_can_be_brought_back(viewer: Client) -> None:
    make_backup(finished_at=timezone.now() - timedelta(hours=3))
    make_backup(finished_at=timezone.now() - timedelta(hours=1))
    assert "All 2 databases can be brought back. At most 3 hours of changes would be lost." in page(viewer)


def test_the_sentence_counts_what_could_not_be_brought_back(viewer: Client) -> None:
    make_backup()
    make_database()
    assert "1 of 2 databases could not be brought back" in page(viewer)


def test_the_sentence_does_not_promise_what_a_drill_has_not_proven(viewer: Client) -> None:
    backup = make_backup()
    make_backup()
    made = {
        "database": backup.database,
        "check_id": "drill",
        "opened_at": timezone.now(),
        "last_seen_at": timezone.now(),
    }
    finding = Finding.objects.create(verdict=Verdict.CRITICAL, **made)
    assert "1 of 2 databases may not come back as it was: its newest drill did not prove that." in page(viewer)
    assert "may not come back as it was" in viewer.get(backup.database.get_absolute_url()).content.decode()
    finding.verdict = Verdict.WARNING  # a proof that has become old
    finding.save()
    assert "All 2 databases can be brought back" in page(viewer)


def seal(backup: Backup, *names: str, is_here: bool = False) -> None:
    """Encrypt it for keys, with their private halves on this server or without."""
    recipients = []
    for name in names:
        identity, recipient = new_identity()
        key, _made = EncryptionKey.objects.get_or_create(name=name, defaults={"recipient": recipient})
        if is_here:
            key.identity = identity
            key.save()
        recipients.append(key.recipient)
    backup.copies.update(recipients=recipients)


def test_the_sentence_says_what_comes_back_with_a_key_file_only(viewer: Client) -> None:
    backup = make_backup()
    seal(backup, "Main")
    assert "Your database can be brought back, but only with a key file. At most" in page(viewer)
    make_backup()
    html = page(viewer)
    assert "All 2 databases can be brought back, 1 of them only with a key file. At most" in html
    assert "The private key of “Main” is not at hand on this server: have its key file ready." in html
    seal(make_backup(), "Main", "Away")
    html = page(viewer)
    assert "All 3 databases can be brought back, 2 of them only with a key file. At most" in html
    assert "The private keys of “Away”, “Main” are not at hand on this server: have their key files ready." in html
    assert html.count("“Main”") == 1
    make_backup(database=backup.database, finished_at=timezone.now() - timedelta(hours=1))
    assert "2 of them only with a key file" in page(viewer)


def test_the_sentence_says_nothing_of_keys_that_are_here(viewer: Client) -> None:
    seal(make_backup(), "Main", is_here=True)
    html = page(viewer)
    assert "Your database can be brought back. At most" in html
    assert "key file" not in html
    newer = make_backup()
    seal(make_backup(database=newer.database, finished_at=timezone.now() - timedelta(hours=1)), "Away")
    assert "All 2 databases can be brought back. At most" in page(viewer)


def test_the_key_is_that_of_the_backup_that_the_sentence_is_about(viewer: Client) -> None:
    backup = make_backup(finished_at=timezone.now() - timedelta(hours=2))
    seal(backup, "Main")
    make_backup(database=backup.database).copies.update(verified_at=None)
    assert "only with a key file. At most 2 hours" in page(viewer)


def test_the_page_of_a_database_names_the_key_files_that_bring_it_back(viewer: Client) -> None:
    backup = make_backup(finished_at=timezone.now() - timedelta(hours=2))
    path = backup.database.get_absolute_url()
    sentence = f"{backup.database} can be brought back as it was 2 hours ago"
    assert f"{sentence}</h1>" in viewer.get(path).content.decode()
    seal(backup, "Here", is_here=True)
    assert f"{sentence}</h1>" in viewer.get(path).content.decode()
    seal(backup, "Main")
    assert f"{sentence}, with the key file of “Main”</h1>" in viewer.get(path).content.decode()
    seal(backup, "Main", "Away")
    assert f"{sentence}, with the key file of one of “Away”, “Main”</h1>" in viewer.get(path).content.decode()


def test_damaged_and_partial_backups_bring_nothing_back(viewer: Client) -> None:
    make_backup(state=BackupState.DAMAGED)
    make_backup(scope=Scope.SCHEMA)
    assert "None of the 2 databases could be brought back" in page(viewer)


def test_removed_databases_are_not_counted(viewer: Client) -> None:
    make_backup()
    make_database(removed_at=timezone.now())
    assert "Your database can be brought back" in page(viewer)


def test_a_failure_stays_until_a_later_success_mends_it(db: None) -> None:
    database = make_database()
    make_job(database=database, state="failed")
    assert [entry.mends_by for entry in gather().attention] == ["backup-run"]
    make_job(database=database, state="cancelled")
    assert len(gather().attention) == 1
    make_job(database=database, state="succeeded")
    assert gather().attention == []


def test_open_findings_come_with_the_button_that_mends_them(operator: Client, viewer: Client) -> None:
    now = timezone.now()
    Finding.objects.create(
        database=make_database(slug="orders"),
        check_id="backup_freshness",
        verdict="critical",
        message=Text("There is no backup."),
        opened_at=now,
        last_seen_at=now,
    )
    assert page(operator).count('action="/backups/run/orders/"') == 2
    assert "There is no backup." in page(viewer)
    assert 'action="/backups/run/' not in page(viewer)


def test_it_says_when_each_database_is_backed_up_next_and_where_nothing_is_scheduled(admin: Client) -> None:
    now = timezone.now()
    soon, never = make_database(slug="soon", labels="kept"), make_database(slug="never")
    make_schedule(target="label", label="kept", next_due_at=now + timedelta(hours=5, minutes=1))
    make_schedule(target="label", label="kept", next_due_at=now + timedelta(hours=9))
    make_schedule(kind="drill", next_due_at=now)
    make_schedule(enabled=False)
    make_schedule(time_zone="Mars/Base")
    Finding.objects.create(
        database=never,
        check_id="schedule",
        verdict="critical",
        message=Text("No schedule."),
        opened_at=now,
        last_seen_at=now,
    )
    assert {row.database: row.next_backup_at is not None for row in gather().rows} == {soon: True, never: False}
    html = page(admin)
    assert ("next in 5 hours" in html, "not scheduled" in html) == (True, True)
    assert "/schedules/add/?database=never&amp;template=daily" in html


def test_polling_goes_on_while_a_job_is_active_and_then_ends(viewer: Client) -> None:
    job = make_job(state="running")
    assert "every 2s" in viewer.get("/live/").content.decode()
    Job.objects.update(state="succeeded")
    response = viewer.get("/live/", {"jobs": str(job.pk)})
    assert "every 2s" not in response.content.decode()
    assert response.headers["HX-Trigger"] == "job-finished"


def test_the_strip_shows_days_with_a_backup_and_days_with_a_failure(db: None) -> None:
    database = make_database()
    now = timezone.now()
    make_backup(database=database, finished_at=now)
    make_job(database=database, state="failed", created_at=now - timedelta(days=2))
    make_job(database=database, state="failed", created_at=now)
    [row] = gather().rows
    assert [day.colour for day in row.days[-3:]] == ["red", "none", "yellow"]
    assert len(row.days) == 30


def test_the_number_of_queries_does_not_grow(viewer: Client) -> None:
    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page(viewer)
        return len(queries)

    storage = make_storage()
    seal(make_backup(storage=storage), "first")
    make_job(database=make_backup(storage=storage).database, state="failed")
    page(viewer)
    few = count()
    for number in range(5):
        seal(make_backup(storage=storage), f"key {number}")
        make_job(database=make_backup(storage=storage).database, state="failed")
    assert count() == few <= 17

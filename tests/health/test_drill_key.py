"""A server that only writes encrypted archives cannot drill them by the clock; that is told before it fails."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from dbadmin.archives.age import new_identity, short
from dbadmin.backups.keys import needed
from dbadmin.choices import Verdict
from dbadmin.health.checks.schedules import drill_key
from dbadmin.health.plans import plans
from dbadmin.health.registry import Observation, Result
from dbadmin.models import Backup, Database, EncryptionKey, Schedule
from tests.factories import make_backup, make_copy, make_database, make_schedule, make_storage

pytestmark = pytest.mark.django_db


@pytest.fixture
def key() -> EncryptionKey:
    return EncryptionKey.objects.create(name="Safe", recipient=new_identity()[1])


@pytest.fixture
def backup(key: EncryptionKey) -> Backup:
    """In a storage that is encrypted for a key whose private half is elsewhere."""
    backup = make_backup(database=make_database(slug="shop"))
    backup.copies.update(recipients=[key.recipient])
    return backup


@pytest.fixture
def drills() -> Schedule:
    return make_schedule(name="weekly proof", kind="drill")


def judged(database: Database) -> Result:
    return drill_key(Observation(now=datetime.now(UTC), plans=plans(database)))


def test_it_names_the_schedule_the_key_and_the_way_out(backup: Backup, drills: Schedule, key: EncryptionKey) -> None:
    result = judged(backup.database)
    assert result.verdict == Verdict.WARNING
    assert "“weekly proof” cannot drill" in str(result.message)
    assert f"“Safe” ({short(key.recipient)})" in str(result.message)
    assert "--key-file" in str(result.hint)


def test_without_a_schedule_of_drills_nothing_is_said(backup: Backup) -> None:
    assert judged(backup.database).verdict == Verdict.SKIPPED


def test_an_imported_private_half_or_a_copy_in_clear_ends_it(
    backup: Backup, drills: Schedule, key: EncryptionKey
) -> None:
    copy = make_copy(backup=backup, storage=make_storage())
    assert (judged(backup.database).verdict, needed(backup)) == (Verdict.OK, ())
    copy.delete()
    assert (judged(backup.database).verdict, needed(backup)) == (Verdict.WARNING, (key.recipient,))
    key.identity = "AGE-SECRET-KEY-1"
    key.save()
    assert (judged(backup.database).verdict, needed(backup)) == (Verdict.OK, ())


def test_the_page_of_the_schedule_says_it_before_it_ran(
    backup: Backup, drills: Schedule, key: EncryptionKey, viewer: Client
) -> None:
    page = viewer.get(drills.get_absolute_url()).content.decode()
    assert "cannot be drilled here" in page
    assert "“Safe”" in page
    assert backup.get_absolute_url() in page
    backup.copies.update(recipients=[])
    assert "cannot be drilled here" not in viewer.get(drills.get_absolute_url()).content.decode()

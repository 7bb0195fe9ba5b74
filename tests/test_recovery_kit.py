"""The Recovery Kit names what is worth fetching, where it survives, and how it is opened by hand."""

from __future__ import annotations

from datetime import timedelta

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dbadmin.archives.age import new_identity, recipient_of
from dbadmin.models import Backup, Database, EncryptionKey, Storage
from dbadmin.recovery_kit import key_file, kit
from tests.factories import make_backup, make_copy, make_database, make_storage

pytestmark = pytest.mark.django_db


def taken(database: Database, storage: Storage, *, hours_ago: int, **fields: object) -> Backup:
    at = timezone.now() - timedelta(hours=hours_ago)
    return make_backup(database=database, storage=storage, started_at=at, finished_at=at, **fields)


def part(number: int) -> str:
    """The lines of one numbered section."""
    written = kit(with_secrets=False)
    return written.partition(f"\n{number}. ")[2].partition(f"\n{number + 1}. ")[0]


def test_the_kit_names_full_backups_only() -> None:
    database, storage = make_database(), make_storage()
    full = taken(database, storage, hours_ago=2)
    schema = taken(database, storage, hours_ago=1, scope="schema")
    assert full.key in part(1)
    assert schema.key not in part(1)


def test_the_kit_goes_by_time_also_after_older_ones_were_adopted() -> None:
    database, storage = make_database(), make_storage()
    newest = taken(database, storage, hours_ago=1)
    adopted = taken(database, storage, hours_ago=9)
    assert newest.key in part(1)
    assert adopted.key not in part(1)


def test_the_kit_names_the_newest_of_every_storage_and_first_what_survives_this_place() -> None:
    database, here = make_database(), make_storage(name="Here")
    far, removed = make_storage(name="Far", is_offsite=True), make_storage(removed_at=timezone.now())
    both = taken(database, far, hours_ago=5)
    make_copy(backup=both, storage=here)
    by_hand, out_of_reach = taken(database, here, hours_ago=1), taken(database, removed, hours_ago=0)
    lines = [line.strip() for line in part(1).splitlines()]
    places = [line for line in lines if line.startswith("→")]
    assert places == ["→ Far  (in another place)", "→ Here"]
    assert part(1).index(both.key) < part(1).index(by_hand.key)
    assert out_of_reach.key not in part(1)


def test_the_kit_prefers_what_was_read_to_its_end_and_says_what_was_not() -> None:
    database, storage, other = make_database(), make_storage(), make_storage(name="Other")
    read = taken(database, storage, hours_ago=5)
    found = taken(database, storage, hours_ago=1)
    make_copy(backup=found, storage=other)
    found.copies.update(verified_at=None)
    assert read.key in part(1)
    assert "→ Other  (never read to its end)" in part(1)


def test_the_kit_names_no_copy_that_is_not_good() -> None:
    database, storage = make_database(), make_storage()
    taken(database, storage, hours_ago=1, state="deleted")
    taken(database, storage, hours_ago=1).copies.update(state="vanished")
    assert "There is no full backup in a storage that is registered." in part(1)
    assert "→" not in part(1)


def test_fifty_databases_cost_as_many_queries_as_one() -> None:
    storages = [make_storage(), make_storage()]

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            kit(with_secrets=False)
        return len(asked)

    for storage in storages:
        taken(make_database(), storage, hours_ago=1)
    few = queries()
    for number in range(48):
        make_copy(backup=taken(make_database(), storages[0], hours_ago=number), storage=storages[1])
    assert queries() == few


def test_a_key_of_openssh_is_a_file_that_begins_with_it() -> None:
    """What stands before it makes age take the file for a list of its own keys, and refuse it."""
    written = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    key = EncryptionKey(name="ssh", recipient=recipient_of(written))
    key.identity = written
    key.save()
    lines = kit(with_secrets=True).splitlines()
    begin = lines.index("    private key; save these lines as key.txt:") + 1
    end = lines.index("-----END OPENSSH PRIVATE KEY-----")
    assert lines[begin] == "-----BEGIN OPENSSH PRIVATE KEY-----"
    saved = "\n".join(lines[begin : end + 1]) + "\n"
    assert saved == key_file(key, written)
    sealed = pyrage.encrypt(b"archive", [pyrage.ssh.Recipient.from_str(key.recipient)])
    assert pyrage.decrypt(sealed, [pyrage.ssh.Identity.from_buffer(saved.encode())]) == b"archive"


def test_a_key_of_age_keeps_its_comments() -> None:
    identity, recipient = new_identity()
    lines = key_file(EncryptionKey(name="mine", recipient=recipient), identity).splitlines()
    assert [line[0] for line in lines] == ["#", "#", "#", "A"]
    assert lines[3] == identity


def test_the_kit_names_what_a_restore_of_postgresql_needs() -> None:
    settings = {"host": "db.example", "port": 5433, "user": "camp", "name": "camp_live"}
    database = make_database(engine="postgresql", settings=settings)
    database.password = "not for the kit"
    database.save()
    assert "    database camp_live on db.example:5433, user camp\n" in part(1)
    assert "not for the kit" not in kit(with_secrets=True)
    assert "createdb NAME" in part(4)
    assert "NAME is the name of the database in part 1." in part(4)
    assert "“ERROR: role … already exists” does no harm." in part(4)


def test_the_kit_is_made_although_a_connection_cannot_be() -> None:
    make_database(engine="postgresql", settings={"name": "camp_live"}, encrypted_password="of another key")
    assert "    database camp_live\n" in part(1)


def test_the_kit_checks_archives_in_clear_too() -> None:
    assert "    sha256sum backup.tar\n" in part(4)


def test_the_kit_names_where_dbadmin_and_the_secrets_of_a_bucket_come_from() -> None:
    make_storage(name="Local")
    assert "AWS_" not in part(5)
    make_storage(name="Bucket", kind="s3", settings={"bucket": "b"})
    assert "Get the source code of dbadmin" in part(5)
    assert "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY" in part(5)

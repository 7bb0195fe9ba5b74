"""A lost dashboard brought back: the newest catalogue in a storage, and every archive that it does not know yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.encryption import EncryptedStorage, offered
from dbadmin.archives.manifest import Manifest
from dbadmin.archives.reader import read_manifest, unpack
from dbadmin.backups import adopt, own
from dbadmin.backups.addressed import taken_over
from dbadmin.backups.spool import spool
from dbadmin.choices import JobState, RunState
from dbadmin.crypto import make_key, opens
from dbadmin.engines import get_engine
from dbadmin.engines.base import FULL, Engine, RestoreOptions
from dbadmin.engines.postgresql import in_place
from dbadmin.engines.sqlite.connection import SIDECARS, SQLiteConnection, sidecar
from dbadmin.exceptions import DbadminError, KeyMissing, Refused, StorageError, ValidationFailed
from dbadmin.models import Backup, Database, EncryptionKey, Job, ScheduleRun, Storage
from dbadmin.models.database import copied_catalogue
from dbadmin.progress import Progress
from dbadmin.storages.addresses import Address
from dbadmin.text import Text

# What ``crypto.encrypt`` returns, wherever it stands.
TOKEN = re.compile(rb"gAAAAA[\w-]{64,}=*")


@dataclass(kw_only=True)
class Recovered:
    """What came back. ``unknown``: keys that could not be adopted; ``locked``: secrets whose key is not here.

    ``stopped``: why it is not known what is newer than the catalogue, which is back all the same. ``away``: storages
    whose folder stayed behind on another machine, or whose disk is not mounted.
    """

    key: str
    manifest: Manifest
    storage: Storage
    adopted: list[Backup] = field(default_factory=list)
    known: list[Backup] = field(default_factory=list)
    unknown: list[tuple[str, DbadminError]] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    stopped: DbadminError | None = None
    away: list[Storage] = field(default_factory=list)


def recover(
    address: Address, *, identities: tuple[str, ...], accept_key: bool = False, progress: Progress
) -> Recovered:
    """Make the catalogue of this installation, which has none or an empty one, the newest good one at ``address``.

    Archives there that are newer than it are adopted; jobs that ran when it was taken are lost. ``identities`` open
    encrypted archives. Raises ``Refused`` when there is a catalogue already, or without ``accept_key`` when the
    encryption key here opens none of its secrets, ``KeyMissing``, or ``StorageError`` when nothing there is one; the
    installation is empty then as before. What fails once the catalogue is back is in ``stopped``.
    """
    require_empty()
    with offered(identities):
        backend = EncryptedStorage(address.storage())
        key, manifest = _brought_back(backend, progress, accept_key=accept_key)
        make_key()  # of a catalogue without secrets, or whose key is lost
        progress.phase(Text("Bringing the catalogue up to date"))
        call_command("migrate", interactive=False, verbosity=0)
        _end_what_ran()
        found = Recovered(key=key, manifest=manifest, storage=taken_over(address, actor=audit.from_shell()))
        _adopt_unknown(found, progress)
        found.locked = list(_locked())
    found.away = [storage for storage in Storage.objects.registered().order_by("name") if _is_away(storage)]
    audit.record(audit.from_shell(), "catalogue.recover", found.storage, key=key, adopted=len(found.adopted))
    own.refresh_copy()
    return found


def require_empty() -> None:
    """Refuse when there is something that would be lost."""
    tables = connection.introspection.table_names()
    user = get_user_model()
    has_users = user._meta.db_table in tables and user.objects.exists()
    has_backups = Backup._meta.db_table in tables and Backup.objects.exists()
    if has_users or has_backups:
        raise Refused(
            Text("This installation has a catalogue already."),
            Text("Recover into an empty one: set DBADMIN_HOME to a new folder, or DATABASE_URL to an empty database."),
        )


def _is_away(storage: Storage) -> bool:
    try:
        storage.require_folder()
    except StorageError:
        return True
    return False


def _adopt_unknown(found: Recovered, progress: Progress) -> None:
    before = set(Backup.objects.values_list("pk", flat=True))
    try:
        taken, found.unknown = adopt.adopt_all(found.storage, actor=audit.from_shell(), progress=progress)
    except DbadminError as error:
        found.stopped = error
        return
    found.adopted = [backup for backup in taken if backup.pk not in before]
    found.known = [backup for backup in taken if backup.pk in before]


def _brought_back(backend: EncryptedStorage, progress: Progress, *, accept_key: bool) -> tuple[str, Manifest]:
    """Try the newest first; what is damaged is said and passed over."""
    first: DbadminError | None = None
    for key in _candidates(backend, progress):
        try:
            manifest = read_manifest(backend, key)
            _require_same_kind(manifest)
            with spool() as folder:
                unpack(backend, key, manifest, folder, progress)
                if not accept_key:
                    _require_encryption_key(manifest, folder, progress)
                _restore(manifest, folder, progress)
            return key, manifest
        except KeyMissing:
            raise
        except (StorageError, ValidationFailed) as error:
            first = first or error
            progress.log(Text("{key}: {reason}", key=key, reason=error.message), level="warning")
    raise first or StorageError(
        Text("There is no backup of a catalogue there."),
        Text("Look whether it is the right place. Without a catalogue, start a new dashboard, add the storage and "
             "adopt what is in it."),
    )  # fmt: skip


def _candidates(backend: EncryptedStorage, progress: Progress) -> list[str]:
    progress.phase(Text("Looking for the newest catalogue"))
    folders = {stored.key.rpartition("/")[0] for stored in backend.list(f"{own.SLUG}/") if "manifest" in stored.key}
    return sorted(folders, reverse=True)  # the folder's name begins with the time


def _require_same_kind(manifest: Manifest) -> None:
    here = "sqlite" if connection.vendor == "sqlite" else "postgresql"
    if manifest.engine != here:
        raise Refused(
            Text("The catalogue in the storage is of {engine}, and this installation's would be of {here}.",
                 engine=manifest.engine, here=here),
            Text("Set DATABASE_URL so that both are of the same kind; without it, it is SQLite."),
        )  # fmt: skip


def _require_encryption_key(manifest: Manifest, folder: Path, progress: Progress) -> None:
    """Look before anything is put in place; a few secrets of a key that was lost before are no matter."""
    path = get_engine(manifest.engine).export_sql(
        spool=folder, client_version=manifest.client_version, progress=progress
    )
    assert path is not None
    tokens = list(_tokens(path))
    path.unlink()
    if tokens and not any(opens(token) for token in tokens):
        raise Refused(
            Text("The secrets in the catalogue were stored with another encryption key than is here."),
            Text("Set DBADMIN_ENCRYPTION_KEY to the former key, which the Recovery Kit has, and repeat this; nothing "
                 "was changed. Where that key is lost, add --accept-key and enter the passwords again afterwards."),
        )  # fmt: skip


def _tokens(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for line in file:
            yield from (found.decode() for found in TOKEN.findall(line))


def _restore(manifest: Manifest, folder: Path, progress: Progress) -> None:
    engine = get_engine(manifest.engine)
    if connection.vendor == "sqlite":
        _restore_file(engine, manifest, folder, progress)
    else:
        in_place.replace_content(
            Database(is_catalogue=True).connection(), spool=folder, client_version=manifest.client_version,
            expected=manifest.facts, keep_owners=False, intend=lambda marks: None, progress=progress,
        )  # fmt: skip


def _restore_file(engine: Engine, manifest: Manifest, folder: Path, progress: Progress) -> None:
    """Beside first, and compared; then it takes the place of the empty one, which nobody has open."""
    target = Path(settings.DATABASES["default"]["NAME"])
    copied_catalogue().parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    beside = SQLiteConnection(copied_catalogue().with_name("recovered.sqlite3"))
    engine.discard(beside)
    try:
        engine.restore(
            beside, spool=folder, scope=FULL, origin={}, client_version=manifest.client_version,
            options=RestoreOptions(), progress=progress,
        )  # fmt: skip
        if differences := manifest.facts.differences(engine.facts(beside, progress=progress)):
            raise StorageError(differences[0].as_text(), Text("The recovered catalogue is not what was backed up."))
        connections.close_all()
        for suffix in SIDECARS:
            sidecar(target, suffix).unlink(missing_ok=True)
        own.put(beside.path, target)
    finally:
        engine.discard(beside)


def _end_what_ran() -> None:
    """Whoever worked when the catalogue was backed up is gone with the machine."""
    now = timezone.now()
    message = Text("The dashboard was lost while this job was active; the catalogue is a recovered one.")
    with transaction.atomic():
        Job.objects.active().update(
            state=JobState.LOST, finished_at=now, message=message, lease_until=None, encrypted_identities=""
        )
        active = ScheduleRun.objects.filter(state__in=(RunState.WAITING, RunState.ACTIVE))
        active.update(state=RunState.FAILED, settled_at=now, reason=message, retry_at=None)


def _locked() -> Iterator[str]:
    """Name what was stored with another DBADMIN_ENCRYPTION_KEY than is here."""
    yield from (str(row) for row in Database.objects.all() if not opens(row.encrypted_password))
    yield from (str(row) for row in Storage.objects.all() if not opens(row.encrypted_secrets))
    yield from (str(row) for row in EncryptionKey.objects.all() if not opens(row.encrypted_identity))

"""Archives found in a storage that the catalogue does not know: listed, and taken into it. Nothing is moved."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.encryption import EncryptedStorage
from dbadmin.archives.manifest import ARCHIVE_NAME, MANIFEST_NAME, Manifest
from dbadmin.archives.reader import read_manifest
from dbadmin.backups import copies, uploads
from dbadmin.backups.imports import receive
from dbadmin.backups.storage_places import require_apart
from dbadmin.backups.storing import described
from dbadmin.choices import CopyState, Scope
from dbadmin.engines import ENGINES
from dbadmin.exceptions import CorruptArchive, DbadminError, Refused, StorageError
from dbadmin.models import Application, Backup, Copy, Database, Import, Orphan, Storage
from dbadmin.progress import Progress
from dbadmin.storages.base import StoredObject
from dbadmin.text import Text

# The folders that backups make: <database>/<UTC time>-<scope>-<id>.
FOLDER = re.compile(r"^(?P<database>[^/]+)/(?P<time>\d{8}T\d{6}Z)-(?P<scope>[a-z]+)-[0-9a-f]+$")
# What a database's short name can be, which is also in addresses of pages.
SLUG = re.compile(r"[-a-zA-Z0-9_]{1,50}")
UNREAD = Text(
    "What was adopted counts as a backup once it is verified. Of registered databases the newest are verified now, the "
    "others day by day."
)
DUMPS = (".dump", ".sql", ".backup", ".pgdump", ".sqlite", ".sqlite3", ".db", ".tar", ".gz", ".zst")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What lies under a key: an archive (``is_archive``), or a file that may be a dump of somebody else's.

    ``taken_at``, ``database`` and ``scope`` are read from the key alone; ``is_known``: the catalogue has it here.
    """

    key: str
    size: int
    modified: datetime
    is_archive: bool
    is_known: bool = False
    database: str = ""
    scope: str = ""
    taken_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """An archive as it lies in a storage; ``recipients`` are those public keys whose private half opened it."""

    manifest: Manifest
    archive: StoredObject
    is_sealed: bool
    recipients: list[str]


def scan(storage: Storage, progress: Progress | None = None) -> list[Found]:
    """List archives, the newest first, then files that may be dumps; one listing of the storage, nothing is read."""
    folders: dict[str, dict[str, StoredObject]] = defaultdict(dict)
    files: list[StoredObject] = []
    for count, stored in enumerate(storage.backend().list()):
        folder, _slash, name = stored.key.rpartition("/")
        if name in (MANIFEST_NAME, ARCHIVE_NAME):
            folders[folder][name] = stored
        elif name.endswith(DUMPS):
            files.append(stored)
        if progress is not None and not count % 1000:
            progress.check()
    known = set(
        Copy.objects.filter(storage=storage).exclude(state=CopyState.DELETED).values_list("backup__key", flat=True)
    )
    archives = sorted(_archives(folders, known), key=lambda found: found.modified, reverse=True)
    return [*archives, *(Found(key=f.key, size=f.size, modified=f.modified, is_archive=False) for f in files)]


def adopt(storage: Storage, key: str, *, actor: audit.Actor) -> Backup:
    """Take the archive at ``key`` into the catalogue, or return the backup that it is a copy of.

    A database of that name that is not registered is written as one that is off the dashboard. Raises ``KeyMissing``,
    ``CorruptArchive`` or ``StorageError`` when the manifest cannot be read, ``Refused`` when it contradicts what the
    catalogue knows. Every byte is read only when it is verified.
    """
    return enter(storage, key, look_at(storage, key), actor=actor)


def look_at(storage: Storage, key: str) -> Seen:
    """Read the manifest at ``key``, and see whether its archive is there; ``storage`` need not be registered."""
    backend = storage.backend()
    manifest = read_manifest(backend, key)
    _require_plausible(key, manifest)
    archive = backend.stat(f"{key}/{ARCHIVE_NAME}")
    if archive is None:
        raise StorageError(
            Text("“{key}” has a manifest, and the archive is missing.", key=key), Text("It cannot be restored.")
        )
    is_sealed = backend.is_sealed(f"{key}/{ARCHIVE_NAME}")
    if not is_sealed and archive.size != manifest.archive_size:
        raise CorruptArchive(
            Text("“{key}” has {found} bytes in place of {expected}.", key=key, found=archive.size,
                 expected=manifest.archive_size),
            Text("It was cut off or exchanged."),
        )  # fmt: skip
    recipients = _recipients(backend, key) if is_sealed else []
    return Seen(manifest=manifest, archive=archive, is_sealed=is_sealed, recipients=recipients)


@transaction.atomic
def enter(storage: Storage, key: str, seen: Seen, *, actor: audit.Actor) -> Backup:
    """Write what was seen at ``key`` into the catalogue; see ``adopt``."""
    backup = _backup(storage, key, seen.manifest)
    stored = Copy.objects.filter(backup=backup, storage=storage, state=CopyState.STORED)
    Copy.objects.update_or_create(
        backup=backup,
        storage=storage,
        defaults={
            "state": CopyState.STORED, "size": seen.archive.size, "recipients": seen.recipients, "retry_at": None,
            "sha256": "" if seen.is_sealed else seen.manifest.archive_sha256, "stored_at": seen.archive.modified,
            "message": Text(""), "verified_at": stored.values_list("verified_at", flat=True).first(),
        },
    )  # fmt: skip
    copies.settle(backup)
    Orphan.objects.filter(storage=storage, key=key).delete()
    audit.record(actor, "backup.adopt", backup, storage=storage.name)
    return backup


def adopt_all(
    storage: Storage, *, actor: audit.Actor, progress: Progress
) -> tuple[list[Backup], list[tuple[str, DbadminError]]]:
    """Adopt every archive that is not known; return the backups, and the keys that could not be with the reason."""
    adopted, failed = [], []
    waiting = [found for found in scan(storage, progress) if found.is_archive and not found.is_known]
    progress.phase(Text("Reading manifests"), total=len(waiting), unit="items")
    for count, found in enumerate(waiting):
        progress.check()
        progress.update(count, current=found.key)
        try:
            adopted.append(adopt(storage, found.key, actor=actor))
        except DbadminError as error:
            failed.append((found.key, error))
            progress.log(Text("{key}: {reason}", key=found.key, reason=error.message), level="warning")
    return adopted, failed


def bring(storage: Storage, key: str, *, actor: audit.Actor) -> Import:
    """Fetch a dump or SQLite file of somebody else's into the spool; what it is, and where it goes, is asked next.

    ``ValidationFailed`` when it is nothing that can be imported.
    """
    require_apart(storage.kind, storage.settings, key)
    uploads.require_room(require_there(storage, key).size)
    path = uploads.new_folder() / "content"
    try:
        with path.open("xb") as file:
            for chunk in storage.backend().open(key):
                file.write(chunk)
        row = receive(path, file_name=key.rpartition("/")[2], uploaded=True)
    except BaseException:
        uploads.discard(path)
        raise
    audit.record(actor, "import.fetch", row, storage=storage.name, key=key)
    return row


def require_there(storage: Storage, key: str) -> StoredObject:
    """Return what the storage says of an object; ``StorageError`` when there is none."""
    stored = storage.backend().stat(key)
    if stored is None:
        raise StorageError(Text("The storage has no “{key}”.", key=key))
    return stored


def _archives(folders: Mapping[str, Mapping[str, StoredObject]], known: set[str]) -> Iterator[Found]:
    for key, objects in folders.items():
        if MANIFEST_NAME not in objects:  # without it there is no backup
            continue
        named = FOLDER.match(key)
        taken_at = _moment(named["time"]) if named else None
        yield Found(
            key=key,
            size=sum(stored.size for stored in objects.values()),
            modified=objects[MANIFEST_NAME].modified,
            is_archive=True,
            is_known=key in known,
            database=named["database"] if named else key.partition("/")[0],
            scope=named["scope"] if named and taken_at else "",
            taken_at=taken_at,
        )


def _moment(written: str) -> datetime | None:
    """Return the time in a folder's name; None for digits that are none, which somebody else has written."""
    try:
        return datetime.strptime(written, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _require_plausible(key: str, manifest: Manifest) -> None:
    """Refuse what the catalogue could not hold, and what would be the newest backup for ever."""
    if not SLUG.fullmatch(manifest.database) or manifest.scope not in Scope.values:
        raise Refused(
            Text("“{key}” has no database that could be registered: “{name}”, {scope}.", key=key,
                 name=manifest.database, scope=manifest.scope),
            Text("Its manifest was not written by dbadmin, or by a later one."),
        )  # fmt: skip
    if max(manifest.started_at, manifest.finished_at) > timezone.now() + timedelta(days=1):
        raise Refused(
            Text("“{key}” was taken in the future: {time}.", key=key, time=manifest.started_at.isoformat()),
            Text("The clock of this machine is wrong, or that of the one that wrote it was."),
        )


def _backup(storage: Storage, key: str, manifest: Manifest) -> Backup:
    """Return the row that has this archive already, perhaps in another storage, or a new one."""
    database = _database(manifest)
    copies.lock_copies(Copy.objects.filter(backup__database=database, backup__key=key))
    known = Backup.objects.select_for_update(no_key=True).filter(database=database, key=key).first()
    if known is not None:
        if known.sha256 != manifest.archive_sha256:
            raise Refused(
                Text("The catalogue has another backup under “{key}”.", key=key),
                Text("One of the two was exchanged. Verify the known one; move the other away."),
            )
        return known
    if Backup.objects.filter(storage=storage, key=key).exists():
        raise Refused(Text("“{key}” belongs to another database in the catalogue.", key=key))
    return Backup.objects.create(
        database=database,
        storage=storage,
        key=key,
        **described(manifest),
    )


def _database(manifest: Manifest) -> Database:
    if manifest.engine not in ENGINES:
        raise Refused(Text("This dbadmin has no engine “{engine}”.", engine=manifest.engine), Text("Update dbadmin."))
    found = Database.objects.filter(slug=manifest.database).first()
    if found is not None:
        if found.engine != manifest.engine:
            raise Refused(
                Text("“{name}” is registered as {engine}, and the archive is of {other}.", name=found.slug,
                     engine=found.engine, other=manifest.engine),
                Text("Rename the registered database first."),
            )  # fmt: skip
        return found
    named = manifest.application[:50] or "adopted"
    application = Application.objects.filter(Q(slug=named) | Q(name=named)).first()
    application = application or Application.objects.create(slug=named, name=named)
    return Database.objects.create(
        application=application,
        name=manifest.database,
        slug=manifest.database,
        engine=manifest.engine,
        removed_at=timezone.now(),
    )


def _recipients(backend: EncryptedStorage, key: str) -> list[str]:
    """The public keys are not in what is encrypted; those are named whose private half opens it."""
    return backend.openers(f"{key}/{MANIFEST_NAME}")

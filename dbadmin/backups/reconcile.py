"""Compare what the catalogue says with what the storages have. Nothing is ever deleted here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import Count, Q, Sum
from django.utils import timezone

from dbadmin.archives.manifest import ARCHIVE_NAME, MANIFEST_NAME
from dbadmin.backups.copies import is_gone, lock_copies
from dbadmin.backups.twins import is_shared, pairs_among, same_place, shared_with
from dbadmin.backups.verify import verify_backup
from dbadmin.choices import CopyState, JobKind
from dbadmin.exceptions import DbadminError, Refused, StorageError, ValidationFailed
from dbadmin.models import Copy, Database, Job, Orphan, Storage, StorageSample
from dbadmin.progress import Progress
from dbadmin.storages.base import Storage as StorageBackend
from dbadmin.storages.base import StoredObject
from dbadmin.text import Text

Known = tuple[int, str]
THERE = (CopyState.STORED, CopyState.DAMAGED, CopyState.EXPIRING)
WRITING = (JobKind.BACKUP, JobKind.COPY, JobKind.RESTORE)
# Of what was adopted so many are read at a time: a bucket's traffic costs money, and the newest is what is needed.
READ_AT_ONCE = 3


@dataclass(kw_only=True)
class Reconciled:
    """What was found in all storages: copies that have vanished, those that are back, and orphans."""

    vanished: list[Copy] = field(default_factory=list)
    back: list[Copy] = field(default_factory=list)
    orphans: list[Orphan] = field(default_factory=list)


def reconcile(
    *, database: Database, progress: Progress, now: datetime | None = None, found: Reconciled | None = None
) -> Reconciled:
    """Look into every storage that has or had copies of ``database``, and write what was found.

    A copy that is not there any more is VANISHED; one that is there again is read, and STORED when every byte is
    right; so are the newest that nobody has read yet. What no backup belongs to becomes an ``Orphan``.
    ``StorageError`` when a storage could not be asked, after the others: nothing is concluded about what lies there,
    its ``problem`` says so, and it ``is_away``. ``found`` has the rest then. What a test or a write has said of a
    storage that answers stays: a full disk can be looked into.
    """
    found = found if found is not None else Reconciled()
    failures: list[tuple[Storage, DbadminError]] = []
    answered: list[Storage] = []
    storages = Storage.objects.registered().filter(copies__backup__database=database).distinct()
    for storage in storages:
        progress.phase(Text("Looking into “{storage}”", storage=storage.name), unit="items")
        try:
            _look_into(storage, database, found, progress, now=now or timezone.now())
            _answers(storage, database, now)
            answered.append(storage)
        except (StorageError, ValidationFailed) as error:
            failures.append((storage, error))
    failures += ((storage, same_place(storage.name, twin)) for storage, twin in pairs_among(answered))
    for storage, problem in failures:
        _note(storage, problem.message, now, is_away=storage not in answered)
        progress.log(Text("{storage}: {reason}", storage=storage.name, reason=problem.message), level="error")
    if failures:
        away, why = failures[0]
        raise StorageError(Text("{storage}: {reason}", storage=away.name, reason=why.message), why.hint)
    return found


def sample(storage: Storage, *, backend: StorageBackend, now: datetime) -> StorageSample:
    """Write how full a storage is today; the last one of a day counts."""
    used = Copy.objects.filter(storage=storage, state__in=THERE).aggregate(size=Sum("size"), archives=Count("pk"))
    row, _created = StorageSample.objects.update_or_create(
        storage=storage,
        day=timezone.localdate(now),
        defaults={
            "used_bytes": used["size"] or 0,
            "archives": used["archives"],
            "free_bytes": backend.free_bytes(),
        },
    )
    return row


def _look_into(storage: Storage, database: Database, found: Reconciled, progress: Progress, *, now: datetime) -> None:
    backend, began = storage.backend(), timezone.now()
    folders = _folders(backend, f"{database.slug}/", progress)
    # The catalogue is read after the storage: what came meanwhile is known by then, and what went is asked for again.
    copies = _copies(storage, database, began)
    _require_there(storage, backend, folders, copies)
    for key, (pk, state) in copies.items():
        progress.check()
        is_complete = {MANIFEST_NAME, ARCHIVE_NAME} <= folders.get(key, {}).keys()
        if state == CopyState.VANISHED and is_complete:
            copy = _copy(pk)
            if _read_whole(copy, progress):
                found.back.append(copy)
        elif state == CopyState.STORED and not is_complete:
            _missing(_copy(pk), backend, found, began)
    for pk in _never_read(storage, database):
        progress.check()
        _read_whole(_copy(pk), progress)
    found.orphans += _write_orphans(storage, database, _strangers(database, folders, copies), now)
    sample(storage, backend=backend, now=now)


def _folders(backend: StorageBackend, prefix: str, progress: Progress) -> dict[str, dict[str, StoredObject]]:
    """Return the folder of each archive -> its objects by name."""
    folders: dict[str, dict[str, StoredObject]] = defaultdict(dict)
    for count, stored in enumerate(backend.list(prefix), start=1):
        database, _slash, rest = stored.key.partition("/")
        folder, _slash, name = rest.partition("/")
        folders[f"{database}/{folder}"][name] = stored
        progress.update(count, current=stored.key)
    return folders


def _copies(storage: Storage, database: Database, began: datetime) -> dict[str, Known]:
    """Return key -> id and state of what is there, may be, or was when the storage was listed."""
    copies = Copy.objects.filter(storage=storage, backup__database=database)
    copies = copies.filter(~Q(state=CopyState.DELETED) | Q(deleted_at__gte=began))
    return {key: (pk, state) for key, pk, state in copies.values_list("backup__key", "pk", "state").iterator()}


def _copy(pk: int) -> Copy:
    return Copy.objects.select_related("backup__database", "storage").get(pk=pk)


def _require_there(
    storage: Storage, backend: StorageBackend, folders: Mapping[str, object], copies: Mapping[str, Known]
) -> None:
    """A disk that is not mounted looks like one from which everything was deleted: conclude nothing from emptiness."""
    expected = [pk for pk, state in copies.values() if state in (CopyState.STORED, CopyState.VANISHED)]
    if expected and not folders and next(iter(backend.list("")), None) is None:
        raise StorageError(
            Text("Nothing at all is in “{storage}”, which should have {count} archives of this database.",
                 storage=storage.name, count=len(expected)),
            Text("Is its disk mounted, is it the right bucket? If it was emptied, restore from another storage."),
        )  # fmt: skip


@transaction.atomic
def _missing(copy: Copy, backend: StorageBackend, found: Reconciled, began: datetime) -> None:
    """Ask for the two by name, while nobody changes the row, before it is called vanished."""
    lock_copies(Copy.objects.filter(pk=copy.pk))
    copy.refresh_from_db(fields=["state", "stored_at"])
    if copy.state != CopyState.STORED or (copy.stored_at and copy.stored_at >= began):
        return
    names = [name for name in (MANIFEST_NAME, ARCHIVE_NAME) if backend.stat(f"{copy.backup.key}/{name}") is None]
    if names:
        error = StorageError(Text("“{name}” is not in its storage any more.", name=f"{copy.backup.key}/{names[0]}"))
        is_gone(copy, error)
        found.vanished.append(copy)


def _never_read(storage: Storage, database: Database) -> list[int]:
    unread = Copy.objects.filter(storage=storage, backup__database=database, state=CopyState.STORED, verified_at=None)
    return list(unread.order_by("-backup__finished_at").values_list("pk", flat=True)[:READ_AT_ONCE])


def _read_whole(copy: Copy, progress: Progress) -> bool:
    """Believe what was found only when every byte is right; what is wrong is written by the verification."""
    try:
        verify_backup(copy.backup, progress, copy=copy)
    except Refused:  # somebody has deleted it meanwhile
        return False
    except StorageError as error:
        line = Text("{backup} is there, but: {reason}", backup=copy.backup.key, reason=error.message)
        progress.log(line, level="warning")
        return False
    return True


def _strangers(
    database: Database,
    folders: Mapping[str, Mapping[str, StoredObject]],
    copies: Mapping[str, Known],
) -> Iterable[tuple[str, Mapping[str, StoredObject]]]:
    """Yield what belongs to no copy of the catalogue, nor to a job that is writing now."""
    active = Job.objects.active().filter(database=database, kind__in=WRITING)
    jobs = list(active.values_list("params", "started_at", "created_at"))
    writing = {params.get("key") for params, _started, _created in jobs}
    since = min((started or created for _params, started, created in jobs), default=None)
    for key, objects in folders.items():
        if key in copies:
            continue
        newest = max(stored.modified for stored in objects.values())
        if key not in writing and (since is None or newest < since):
            yield key, objects


@transaction.atomic
def _write_orphans(
    storage: Storage,
    database: Database,
    strangers: Iterable[tuple[str, Mapping[str, StoredObject]]],
    now: datetime,
) -> list[Orphan]:
    rows = {
        key: Orphan(
            storage=storage,
            key=key,
            size=sum(stored.size for stored in objects.values()),
            complete=MANIFEST_NAME in objects,
            found_at=now,
        )
        for key, objects in strangers
    }
    known = Orphan.objects.filter(storage=storage, key__startswith=f"{database.slug}/")
    known.exclude(key__in=rows).delete()
    Orphan.objects.bulk_create(
        rows.values(), update_conflicts=True, unique_fields=["storage", "key"], update_fields=["size", "complete"]
    )
    return list(known.filter(key__in=rows))


def _answers(storage: Storage, database: Database, now: datetime | None) -> None:
    """Take back what an answer ends; a full disk, which a test or a write has found, it does not end.

    ``StorageError`` where it answers and lets nothing be read.
    """
    storage.refresh_from_db(fields=["problem", "is_away"])  # looking into it may have taken long
    if storage.is_away:
        _require_readable(storage, database)
    is_alone = is_shared(storage) and shared_with(storage.backend(), itself=storage.pk) is None
    if not storage.problem or storage.is_away or is_alone:
        _note(storage, Text(""), now, is_away=False)


def _require_readable(storage: Storage, database: Database) -> None:
    stored = Copy.objects.filter(storage=storage, backup__database=database, state=CopyState.STORED)
    if copy := stored.select_related("backup").order_by("-backup__finished_at").first():
        for _chunk in storage.backend().inner.open(f"{copy.backup.key}/{MANIFEST_NAME}"):
            return


def _note(storage: Storage, problem: Text, now: datetime | None, *, is_away: bool) -> None:
    storage.problem, storage.is_away, storage.checked_at = problem, is_away, now or timezone.now()
    storage.save(update_fields=["problem", "is_away", "checked_at"])

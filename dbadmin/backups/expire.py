"""Delete what retention releases: first it is decided and written down, then the files go, whatever happens between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.manifest import ARCHIVE_NAME, MANIFEST_NAME
from dbadmin.backups.copies import HELD, lock_copies, settle
from dbadmin.backups.judging import NOT_THERE, judge, read_now
from dbadmin.backups.sparing import is_by_hand, require_seen, spare
from dbadmin.backups.twins import same_place, twin_of
from dbadmin.choices import BackupState, CopyState
from dbadmin.exceptions import DbadminError, StorageError, ValidationFailed
from dbadmin.models import Backup, Copy, Database, Destination, Job, Storage
from dbadmin.progress import Progress
from dbadmin.storages.base import Storage as StorageBackend
from dbadmin.text import Text

AT_ONCE = 200
NEIGHBOURS = 3


@dataclass(frozen=True, kw_only=True)
class Expired:
    """What was done: copies deleted, their bytes, and those that are decided and could not be deleted yet."""

    deleted: int
    freed: int
    left: int


def expire(*, database: Database, progress: Progress, job: Job | None = None, now: datetime | None = None) -> Expired:
    """Release what no retention keeps, and delete it; also what an earlier call had to leave.

    Only where what is to stay was seen just now. May be called again at any time, also after a crash anywhere in it.
    ``StorageError`` when a storage could not be asked or has lost what should stay, after the others were done: then
    nothing is released there.
    """
    progress.phase(Text("Judging"), unit="items")
    moment = now or timezone.now()
    going = [judged.copy for judged in judge(database, now=moment).going]
    deleting = _Deleting(progress)
    may_go = deleting.looked(database, [*going, *_released(database)])
    while may_go and _release(database, moment, job, only=may_go):
        progress.check()
    return _finish(database, deleting, may_go, moment)


def finish(*, database: Database, progress: Progress) -> Expired:
    """Delete the files of what is released, and of nothing else; what would stay now is taken back, see ``spare``.

    ``StorageError`` when a storage could not be asked, after the others were done: what was released there is not
    restorable any more, and is deleted next time.
    """
    deleting = _Deleting(progress)
    return _finish(database, deleting, deleting.looked(database, _released(database)), timezone.now())


def _finish(database: Database, deleting: _Deleting, may_go: Collection[int], now: datetime) -> Expired:
    """Delete what is released of those for which the storages were looked into just now."""
    progress, released = deleting.progress, list(_released(database))
    progress.phase(Text("Deleting"), total=len(released), unit="items")
    reading = read_now(database)  # after the release was written: whoever begins to read now sees it
    waiting: list[Copy] = []
    for copy in released:
        if copy.backup_id in reading:
            progress.log(Text("A job is reading {backup}; it is deleted afterwards.", backup=copy.backup.key))
        elif copy.pk in may_go:
            waiting.append(copy)
    try:
        going = spare(database, waiting, progress, now=now)
        released = [copy for copy in released if copy in going or copy not in waiting]
    except StorageError as error:
        deleting.failed(waiting[0].storage, error)
        going = []
    for storage, copies in groupby(going, key=attrgetter("storage")):
        deleting.from_storage(storage, list(copies))
    if deleting.failures:
        raise _summary(deleting, len(released))
    return Expired(deleted=deleting.deleted, freed=deleting.freed, left=len(released) - deleting.deleted)


def in_need(among: QuerySet[Database] | None = None) -> QuerySet[Database]:
    """Return the registered databases that a retention applies to, or that have something left to delete."""
    copies = Copy.objects.filter(backup__database=OuterRef("pk"), storage__removed_at=None)
    copies = copies.exclude(state=CopyState.DELETED)
    kept_for_a_time = Destination.objects.filter(
        retention__isnull=False, storage=OuterRef("storage"), schedule=OuterRef("backup__schedule")
    )
    concerned = copies.filter(Q(storage__retention__isnull=False) | Exists(kept_for_a_time))
    databases = Database.objects.all() if among is None else among
    return databases.filter(removed_at=None).filter(Exists(concerned) | Q(pk__in=left_over()))


def left_over() -> QuerySet[Copy, int]:
    """Return the ids of the databases that have something left to delete; it is a subquery, too."""
    expiring = Copy.objects.filter(state=CopyState.EXPIRING, storage__removed_at=None).order_by()
    return expiring.values_list("backup__database", flat=True).distinct()


def let_go(copy: Copy, *, actor: audit.Actor, reason: Text, action: str = "backup.expire") -> None:
    """Write down that a copy is to be deleted; from now on nobody begins to read it.

    Call it in a transaction that holds ``lock`` and has looked whether it may go, and then ``settle_after``.
    """
    if copy.state != CopyState.STORED:
        copy.verified_at = None  # so that nobody takes it for a good one again
    copy.state, copy.message, copy.retry_at = CopyState.EXPIRING, reason, None
    copy.save(update_fields=["state", "message", "retry_at", "verified_at"])
    audit.record(actor, action, copy.backup, reason=str(reason), storage=copy.storage.name, size=copy.size)


def settle_after(backup: Backup, reason: Text) -> None:
    """Bring a backup in line with the copies it has left; without any it is deleted."""
    copies = Copy.objects.filter(backup=backup)
    if copies.filter(state__in=HELD).exists():
        settle(backup)
        return
    # Nothing is left that a copy still waited for could be made from.
    waiting = copies.filter(state__in=NOT_THERE)
    waiting.update(state=CopyState.DELETED, message=reason, retry_at=None, deleted_at=timezone.now())
    Backup.objects.filter(pk=backup.pk).update(state=BackupState.DELETED, missing_copies=0)


def storage_says(name: str, reason: Text) -> Text:
    """Return the line of the log that tells why nothing could be removed from a storage; ``going`` reads it again."""
    return Text("{storage}: {reason}", storage=name, reason=reason)


def lock(database: Database) -> None:
    """Hold the rows of a database's copies and backups until the end of the transaction."""
    lock_copies(Copy.objects.filter(backup__database=database).exclude(state=CopyState.DELETED))
    backups = Backup.objects.filter(database=database).exclude(state=BackupState.DELETED).order_by("pk")
    list(backups.select_for_update(no_key=True).values_list("pk", flat=True))


@transaction.atomic
def _release(database: Database, now: datetime, job: Job | None, *, only: Collection[int]) -> int:
    """Decide on what is there now and write it down, so many at once; a pin or a proof comes before or after it.

    ``only``: the copies that were looked at; what goes by now as well goes next time.
    """
    if job is not None:
        job.require_held()
    lock(database)
    going = [judged for judged in judge(database, now=now).going if judged.copy.pk in only][:AT_ONCE]
    for judged in going:
        let_go(judged.copy, actor=audit.from_job(job), reason=judged.reasons[0])
    for backup, reason in {judged.copy.backup: judged.reasons[0] for judged in going}.items():
        settle_after(backup, reason)
    return len(going)


def _released(database: Database) -> Iterable[Copy]:
    expiring = Copy.objects.filter(backup__database=database, state=CopyState.EXPIRING, storage__removed_at=None)
    return (
        expiring.select_related("backup", "storage").defer("backup__facts", "backup__origin").order_by("storage", "pk")
    )


class _Deleting:
    """Counts what goes, and remembers which storage could not be asked."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.deleted = 0
        self.freed = 0
        self.failures: list[tuple[Storage, DbadminError]] = []

    def looked(self, database: Database, copies: Iterable[Copy]) -> set[int]:
        """Look for what is to stay when these go, and return the ids of those whose storage shows it.

        None when the newest good backup of a scope is not seen. It is done before anything is written down, because
        what is released cannot be restored any more.
        """
        found, waiting, scopes = set[int](), defaultdict[Storage, list[Copy]](list), set[str]()
        for copy in copies:
            waiting[copy.storage].append(copy)
            scopes |= set() if is_by_hand(copy) else {copy.backup.scope}
        for storage in sorted(waiting, key=lambda each: each.pk):
            try:
                _require_there(storage, storage.backend())
                _require_apart(storage, {copy.backup_id for copy in waiting[storage]})
            except (StorageError, ValidationFailed) as error:
                self.failed(storage, error)
            else:
                found |= {copy.pk for copy in waiting[storage]}
        try:
            require_seen(database, scopes)
        except StorageError as error:
            self.failed(next(iter(waiting)), error)
            return set()
        return found

    def from_storage(self, storage: Storage, copies: list[Copy]) -> None:
        """Delete these; when the storage refuses one, the others."""
        backend = storage.backend()
        for copy in copies:
            self.progress.check()
            try:
                _remove(backend, copy.backup.key, self.progress)
            except StorageError as error:
                self.failed(storage, error)
                continue
            _is_deleted(copy)
            self.deleted, self.freed = self.deleted + 1, self.freed + copy.size
            self.progress.update(self.deleted, current=copy.backup.key)

    def failed(self, storage: Storage, error: DbadminError) -> None:
        """Remember which storage could not be asked, and say so."""
        self.failures.append((storage, error))
        self.progress.log(storage_says(storage.name, error.message), level="error")


def _remove(backend: StorageBackend, key: str, progress: Progress) -> None:
    """The manifest goes first: what has none is no backup any more."""
    backend.delete(f"{key}/{MANIFEST_NAME}")
    progress.check()
    backend.delete(f"{key}/{ARCHIVE_NAME}")
    progress.check()
    backend.discard(key)


def _is_deleted(copy: Copy) -> None:
    Copy.objects.filter(pk=copy.pk, state=CopyState.EXPIRING).update(state=CopyState.DELETED, deleted_at=timezone.now())


def _require_there(storage: Storage, backend: StorageBackend) -> None:
    """Look for what has to be there: on a disk that is not mounted nothing can be deleted, and later all is back."""
    stored = Copy.objects.filter(storage=storage, state=CopyState.STORED).order_by("-backup")
    keys = stored.values_list("backup__key", flat=True)[:NEIGHBOURS]
    if keys and not any(backend.stat(f"{key}/{MANIFEST_NAME}") for key in keys):
        raise StorageError(
            Text("“{storage}” has none of the archives that should be there.", storage=storage.name),
            Text("Is its disk mounted, is it the right bucket? What has to go there goes when it is back."),
        )


def _require_apart(storage: Storage, backups: Collection[int]) -> None:
    """What is deleted here must not be what another storage is to keep; asked of those that have copies of the same."""
    held = Copy.objects.filter(backup__in=backups, state__in=HELD).exclude(state=CopyState.EXPIRING)
    others = Storage.objects.registered().filter(pk__in=held.values("storage")).exclude(pk=storage.pk)
    if twin := twin_of(storage.backend(), others):
        raise same_place(storage.name, twin)


def _summary(deleting: _Deleting, released: int) -> DbadminError:
    storage, error = deleting.failures[0]
    left = released - deleting.deleted
    if not left:
        said = Text("Nothing is released in “{storage}”. {reason}", storage=storage.name, reason=error.message)
        return StorageError(said, error.hint)
    return StorageError(
        Text(
            "{left} of {all} released copies could not be deleted yet. {storage}: {reason}",
            left=left,
            all=released,
            storage=storage.name,
            reason=error.message,
        ),
        error.hint or Text("It is tried again by itself."),
    )

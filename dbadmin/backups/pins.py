"""What a person decides of one backup: that it stays whatever retention says, or that it goes."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups.copies import HELD
from dbadmin.backups.expire import let_go, lock, settle_after
from dbadmin.backups.judging import read_now
from dbadmin.backups.sparing import by_hand
from dbadmin.choices import BackupState
from dbadmin.exceptions import Refused
from dbadmin.models import Backup, Copy
from dbadmin.models.fields import is_one_line
from dbadmin.text import Text


@transaction.atomic
def pin(backup: Backup, *, actor: audit.Actor, note: str) -> Backup:
    """Keep a backup whatever the retentions say, until it is unpinned; pinning again changes the note.

    ``Refused`` when nothing of it is left, or its deletion has begun, and for a note of several lines.
    """
    if not is_one_line(note):
        raise Refused(Text("The note has to be one line, without tabs and other control characters."))
    row = Backup.objects.select_for_update(no_key=True).get(pk=backup.pk)
    if row.state == BackupState.DELETED:
        raise Refused(Text("The archive of this backup was deleted."), Text("Choose another backup."))
    row.pinned_at, row.pin_note = row.pinned_at or timezone.now(), note[:200]
    row.save(update_fields=["pinned_at", "pin_note"])
    audit.record(actor, "backup.pin", row, reason=note)
    return row


@transaction.atomic
def unpin(backup: Backup, *, actor: audit.Actor, reason: str = "") -> Backup:
    """Let the retentions decide again; one that is not pinned stays as it is."""
    row = Backup.objects.select_for_update(no_key=True).get(pk=backup.pk)
    if row.pinned_at is not None:
        audit.record(actor, "backup.unpin", row, reason=reason, note=row.pin_note)
        row.pinned_at, row.pin_note = None, ""
        row.save(update_fields=["pinned_at", "pin_note"])
    return row


@transaction.atomic
def delete_backup(backup: Backup, *, actor: audit.Actor, reason: str, confirmed: str = "") -> Backup:
    """Release every copy of a backup; the files go with the next EXPIRE job, or by ``expire.finish``.

    ``Refused`` for a pinned one, one that others build on, one that a job reads, and without a reason; for the only
    good one of its database unless ``confirmed`` is the database's name or short name. What lies in storages that were
    removed from the dashboard stays there.
    """
    lock(backup.database)
    row = Backup.objects.select_related("database").get(pk=backup.pk)
    _require_free(row, reason)
    if is_only_good_one(row) and confirmed not in (row.database.slug, row.database.name):
        raise Refused(
            Text("No other good backup of “{name}” can be read now.", name=row.database.name),
            Text("Take another one first, or confirm with the short name “{slug}”.", slug=row.database.slug),
        )
    why = by_hand(reason.strip())
    for copy in _deletable(row):
        let_go(copy, actor=actor, reason=why, action="backup.delete")
    settle_after(row, why)
    row.refresh_from_db()
    return row


def _deletable(row: Backup) -> list[Copy]:
    held = Copy.objects.filter(backup=row, state__in=HELD).select_related("storage", "backup")
    copies = list(held.filter(storage__removed_at=None))
    if held and not copies:
        raise Refused(
            Text("Its archives lie in storages that were removed from the dashboard only; nothing is deleted there."),
            Text("Put the storage back on the dashboard first."),
        )
    return copies


def is_only_good_one(backup: Backup) -> bool:
    """Say whether no other backup with the same scope could be restored now; where it lies may be away."""
    others = Backup.objects.at_hand().filter(database=backup.database_id, scope=backup.scope).exclude(pk=backup.pk)
    return backup.state == BackupState.AVAILABLE and not others.exists()


def _require_free(row: Backup, reason: str) -> None:
    if row.state == BackupState.DELETED:
        raise Refused(Text("The archive of this backup was deleted."), Text("Choose another backup."))
    if not reason.strip():
        raise Refused(Text("A backup is deleted for a reason."), Text("Say why; it is kept in the audit trail."))
    if row.pinned_at is not None:
        raise Refused(Text("It is pinned: {note}", note=row.pin_note or "–"), Text("Unpin it first."))
    if row.increments.exclude(state=BackupState.DELETED).exists():
        raise Refused(Text("Other backups build on it."), Text("Delete those first."))
    if row.pk in read_now(row.database):
        raise Refused(Text("A job is reading it."), Text("Wait until it is over, or cancel it first."))

"""Which private keys a backup needs, and whether they are at hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db.models import Q, QuerySet

from dbadmin.archives.age import recipient_of
from dbadmin.backups.copies import HELD
from dbadmin.exceptions import KeyMissing, Refused
from dbadmin.models import Backup, Copy, EncryptionKey
from dbadmin.models.keys import closed, names, with_private_half
from dbadmin.text import Text


def needed(backup: Backup, *, offered: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the public keys of which one private half has to be offered; none when it can be read already.

    It is judged by the catalogue: two queries, no storage is asked. ``offered`` are private keys that are there.
    """
    at_hand = [recipient_of(identity) for identity in offered]
    return closed(_held(backup).values_list("recipients", flat=True), offered=at_hand)


def require_key(backup: Backup, *, offered: Sequence[str] = ()) -> None:
    """Raise ``KeyMissing`` that names the keys, when neither this server nor ``offered`` has one that opens it."""
    if not (missing := needed(backup, offered=offered)):
        return
    raise KeyMissing(
        Text("The backup is encrypted, and its private key is not here: {keys}.", keys=names(missing)),
        Text("Offer the key file with the restore, or import the private key. Nothing was changed.")
        if not offered
        else Text("The key file that was offered holds another key. Nothing was changed."),
    )


def needed_by(key: EncryptionKey) -> int:
    """Return how many backups can be read with no other key of this server: what is lost to it without this one."""
    others = set(with_private_half().exclude(pk=key.pk).values_list("recipient", flat=True))
    rows = Copy.objects.filter(state__in=HELD).filter(backup__in=_sealed_for(key.recipient))
    opened: dict[int, bool] = {}
    for backup, recipients in rows.values_list("backup_id", "recipients").iterator():
        opened[backup] = opened.get(backup, False) or not recipients or bool(others & set(recipients))
    return sum(not other for other in opened.values())


def counts() -> dict[str, int]:
    """Return for every public key how many copies are encrypted for it."""
    found: dict[str, int] = {}
    sealed = Copy.objects.filter(state__in=HELD).exclude(recipients=[])
    for recipients in sealed.values_list("recipients", flat=True).iterator():
        for recipient in recipients:
            found[recipient] = found.get(recipient, 0) + 1
    return found


def require_not_the_last(key: EncryptionKey) -> None:
    """Refuse to retire a key that a storage has no other one beside."""
    for storage in key.storages.registered():
        if not storage.keys.filter(retired_at=None).exclude(pk=key.pk).exists():
            raise Refused(
                Text("“{key}” is the only key of “{storage}”.", key=key.name, storage=storage.name),
                Text("Give the storage another key first; archives that exist stay readable with this one."),
            )


def _held(backup: Backup) -> QuerySet[Copy]:
    held = Copy.objects.filter(backup=backup, state__in=HELD)
    return held if backup.read_from is None else held.filter(storage=backup.read_from)


def _sealed_for(recipient: str) -> QuerySet[Backup]:
    # SQLite has no JSON "contains"; a public key is found in the text of the list as it stands.
    return Backup.objects.filter(Q(copies__recipients__icontains=recipient), copies__state__in=HELD)

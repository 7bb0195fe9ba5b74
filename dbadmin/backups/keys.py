"""Which private keys a backup needs, and whether they are at hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db.models import Q, QuerySet

from dbadmin.archives.age import recipient_of
from dbadmin.backups.copies import HELD
from dbadmin.choices import CopyState
from dbadmin.exceptions import KeyMissing, Refused
from dbadmin.models import Backup, Copy, EncryptionKey, Schedule
from dbadmin.models.keys import as_of_now, closed, counted, names, with_private_half
from dbadmin.text import Text, quoted


def needed(backup: Backup) -> tuple[str, ...]:
    """Return the public keys of which one private half has to be offered; none when it can be read already.

    It is judged by the catalogue: two queries, no storage is asked. A copy that is damaged, gone or in a storage that
    is away counts only when no good one is left.
    """
    return closed(counted((state, recipients) for _backup, state, recipients in as_of_now(_held(backup))))


def require_key(backup: Backup, *, offered: Sequence[str] = ()) -> None:
    """Raise ``KeyMissing`` that names the keys, when neither this server nor ``offered`` has one that opens it.

    ``offered`` are private keys. A storage that is away may have come back since, so its copies count.
    """
    at_hand = [recipient_of(identity) for identity in offered]
    if not (missing := closed(counted(_held(backup).values_list("state", "recipients")), offered=at_hand)):
        return
    raise KeyMissing(
        _what_is_closed(backup, missing),
        Text("Give the key file along, or import the private key. Nothing was changed.")
        if not offered
        else Text("The key file that was offered holds another key. Nothing was changed."),
    )


def good_copy(storages: Sequence[str], recipients: Sequence[str]) -> Text:
    """Say that what is left to be read, in the ``storages``, needs the private key of one of the ``recipients``."""
    return Text(
        "A good copy is in {storages}, but its private key is not here: {keys}.",
        storages=quoted(storages),
        keys=names(recipients),
    )


def _what_is_closed(backup: Backup, missing: Sequence[str]) -> Text:
    held = list(_held(backup).select_related("storage"))
    good = [copy.storage.name for copy in held if copy.state == CopyState.STORED]
    if good and len(good) < len(held):
        return good_copy(good, missing)
    return Text("The backup is encrypted, and its private key is not here: {keys}.", keys=names(missing))


def needed_by(key: EncryptionKey) -> int:
    """Return how many backups can be read with no other key of this server: what is lost to it without this one."""
    others = with_private_half() - {key.recipient}
    rows = Copy.objects.filter(state__in=HELD).filter(backup__in=_sealed_for(key.recipient))
    copies: dict[int, list[tuple[str, Sequence[str]]]] = {}
    for backup, state, recipients in rows.values_list("backup_id", "state", "recipients").iterator():
        copies.setdefault(backup, []).append((state, recipients))
    return sum(all(keys and not others & set(keys) for keys in counted(held)) for held in copies.values())


def counts() -> dict[str, int]:
    """Return for every public key how many copies are encrypted for it."""
    found: dict[str, int] = {}
    sealed = Copy.objects.filter(state__in=HELD).exclude(recipients=[])
    for recipients in sealed.values_list("recipients", flat=True).iterator():
        for recipient in recipients:
            found[recipient] = found.get(recipient, 0) + 1
    return found


def unlike_keys(schedule: Schedule) -> Text | None:
    """Say that two storages of a schedule are encrypted for different keys of which this server has no private half.

    Their archives are stored, but one that is missing in either could never be made from the other's.
    """
    here = with_private_half()
    closed_for: dict[frozenset[str], str] = {}
    for each in schedule.destinations.select_related("storage").prefetch_related("storage__keys"):
        sealing = list(each.storage.keys.all())
        current = [key for key in sealing if key.retired_at is None] or sealing
        recipients = frozenset(key.recipient for key in current)
        if recipients and not recipients & here:
            closed_for.setdefault(recipients, each.storage.name)
    if len(closed_for) < 2:
        return None
    one, other, *_more = closed_for.values()
    return Text(
        "“{one}” and “{other}” are encrypted for different keys, and no private key of either is here: a copy that is "
        "missing in one can never be made from the other. Encrypt both for the same keys, or import a private key.",
        one=one,
        other=other,
    )


def require_not_the_last(key: EncryptionKey) -> None:
    """Refuse to retire a key that a storage has no other one beside."""
    for storage in key.storages.registered():
        if not storage.keys.filter(retired_at=None).exclude(pk=key.pk).exists():
            raise Refused(
                Text("“{key}” is the only key of “{storage}”.", key=key.name, storage=storage.name),
                Text("Give the storage another key first; archives that exist stay readable with this one."),
            )


def only_retired(keys: Iterable[EncryptionKey]) -> bool:
    """Say whether new archives would be encrypted for retired keys, because a storage has no other."""
    retired = [key.retired_at is not None for key in keys]
    return bool(retired) and all(retired)


def require_in_use(keys: Iterable[EncryptionKey], storage: str) -> None:
    """Refuse to write to a storage with retired keys alone: somebody has said that they are not to be used."""
    chosen = list(keys)
    if only_retired(chosen):
        raise Refused(
            Text("All keys of “{storage}” are retired: {keys}.", storage=storage, keys=", ".join(map(str, chosen))),
            Text(
                "On the page of the keys press “Use again”, then give the storage another key and retire the old one. "
                "Nothing was changed."
            ),
        )


def _held(backup: Backup) -> QuerySet[Copy]:
    held = Copy.objects.filter(backup=backup, state__in=HELD)
    return held if backup.read_from is None else held.filter(storage=backup.read_from)


def _sealed_for(recipient: str) -> QuerySet[Backup]:
    # SQLite has no JSON "contains"; a public key is found in the text of the list as it stands.
    return Backup.objects.filter(Q(copies__recipients__icontains=recipient), copies__state__in=HELD)

"""Which keys open what lies encrypted in storages, by the catalogue alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from django.db.models import OuterRef, QuerySet, Subquery

from dbadmin.archives.age import short
from dbadmin.choices import CopyState, Scope
from dbadmin.models.backup import HELD, Backup, Copy
from dbadmin.models.database import Database
from dbadmin.models.storage import EncryptionKey
from dbadmin.text import Text, listed, verbatim


def with_private_half(among: Iterable[str] | None = None) -> set[str]:
    """Return the public keys that this server can read with, of those given or of all."""
    stored = EncryptionKey.objects.exclude(encrypted_identity="")
    found = stored if among is None else stored.filter(recipient__in=among)
    return {key.recipient for key in found if key.is_readable}


def closed(copies: Iterable[Sequence[str]], *, offered: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the public keys of which one private half is wanted to read any of these copies; none when one is read.

    A copy is the public keys it is encrypted for, none for one in clear. ``offered``: public keys of private halves
    that are there besides those of this server.
    """
    keys = wanted(copies)
    at_hand = {*offered, *with_private_half(keys)} if keys else set()
    return () if at_hand & keys else tuple(sorted(keys))


def wanted(copies: Iterable[Sequence[str]]) -> set[str]:
    """Return the public keys of which one private half reads any of these copies; none when one is in clear."""
    sealed_for = [set(recipients) for recipients in copies]
    return set().union(*sealed_for) if all(sealed_for) else set()


def counted(copies: Iterable[tuple[str, Sequence[str]]]) -> list[Sequence[str]]:
    """Return the public keys of each good copy of a backup, or of all its copies when none is good.

    A copy is its state and the public keys it is encrypted for: what is damaged or gone is no copy that can be read.
    """
    held = list(copies)
    good = [recipients for state, recipients in held if state == CopyState.STORED]
    return good or [recipients for _state, recipients in held]


def as_of_now(copies: QuerySet[Copy]) -> Iterator[tuple[int, str, Sequence[str]]]:
    """Yield backup, state and public keys of each; one in a storage that is away is as good as gone."""
    for backup, state, is_away, recipients in copies.values_list(
        "backup_id", "state", "storage__is_away", "recipients"
    ):
        yield backup, CopyState.VANISHED if is_away else state, recipients


def closed_newest(databases: QuerySet[Database], *, most: int) -> list[tuple[Database, tuple[str, ...]]]:
    """Return the databases, at most so many, whose newest full backup this server has no key for, with the keys."""
    newest = Backup.objects.available().filter(database=OuterRef("pk"), scope=Scope.FULL).order_by("-finished_at")
    rows = databases.annotate(newest_full=Subquery(newest.values("pk")[:1])).exclude(newest_full=None)
    found = {row.newest_full: row for row in rows[:most]}
    return [(found[backup], tuple(keys)) for backup, keys in closed_backups(found).items()]


def closed_backups(backups: Iterable[int]) -> dict[int, dict[str, str]]:
    """Return those of some backups that this server has no key for, with what each public key is called.

    One private half of those of a backup is enough. A copy in a storage that is away counts as one that is gone.
    Two queries, however many there are; one where all are in clear.
    """
    copies: dict[int, list[tuple[str, Sequence[str]]]] = {}
    for backup, state, recipients in as_of_now(Copy.objects.filter(backup__in=list(backups), state__in=HELD)):
        copies.setdefault(backup, []).append((state, recipients))
    sealed = {backup: wanted(counted(rows)) for backup, rows in copies.items()}
    known = list(EncryptionKey.objects.filter(recipient__in=set().union(*sealed.values())))
    at_hand = {key.recipient for key in known if key.is_readable}
    called = {key.recipient: key.name for key in known}
    closed_ones = {backup: sorted(keys) for backup, keys in sealed.items() if keys and not keys & at_hand}
    return {backup: {each: called.get(each, short(each)) for each in keys} for backup, keys in closed_ones.items()}


def names(recipients: Sequence[str]) -> Text:
    """Return the names that the keys have here, with enough of the public key to find its file."""
    known = dict(EncryptionKey.objects.filter(recipient__in=recipients).values_list("recipient", "name"))
    return listed(
        Text("“{name}” ({key})", name=known[each], key=short(each)) if each in known else verbatim(short(each))
        for each in recipients
    )

"""Which keys open what lies encrypted in storages, by the catalogue alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db.models import OuterRef, QuerySet, Subquery

from dbadmin.archives.age import short
from dbadmin.choices import CopyState, Scope
from dbadmin.models.backup import HELD, Backup, Copy
from dbadmin.models.database import Database
from dbadmin.models.storage import EncryptionKey


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
    sealed_for = [set(recipients) for recipients in copies]
    if not sealed_for or not all(sealed_for):
        return ()
    wanted = set().union(*sealed_for)
    at_hand = {*offered, *with_private_half(wanted)}
    return () if at_hand & wanted else tuple(sorted(wanted))


def counted(copies: Iterable[tuple[str, Sequence[str]]]) -> list[Sequence[str]]:
    """Return the public keys of each good copy of a backup, or of all its copies when none is good.

    A copy is its state and the public keys it is encrypted for: what is damaged or gone is no copy that can be read.
    """
    held = list(copies)
    good = [recipients for state, recipients in held if state == CopyState.STORED]
    return good or [recipients for _state, recipients in held]


def closed_newest(databases: QuerySet[Database], *, most: int) -> list[tuple[Database, tuple[str, ...]]]:
    """Return the databases, at most so many, whose newest full backup this server has no key for, with the keys."""
    newest = Backup.objects.available().filter(database=OuterRef("pk"), scope=Scope.FULL).order_by("-finished_at")
    rows = databases.annotate(newest_full=Subquery(newest.values("pk")[:1])).exclude(newest_full=None)
    found = {row.newest_full: row for row in rows[:most]}
    copies: dict[int, list[tuple[str, Sequence[str]]]] = {}
    held = Copy.objects.filter(backup__in=found, state__in=HELD)
    for backup, state, recipients in held.values_list("backup_id", "state", "recipients"):
        copies.setdefault(backup, []).append((state, recipients))
    sealed = ((found[backup], counted(rows)) for backup, rows in copies.items())
    judged = [(database, closed(keys)) for database, keys in sealed if all(keys)]
    return [(database, keys) for database, keys in judged if keys]


def names(recipients: Sequence[str]) -> str:
    """Return the names that the keys have here, with enough of the public key to find its file."""
    known = dict(EncryptionKey.objects.filter(recipient__in=recipients).values_list("recipient", "name"))
    return ", ".join(f"“{known[each]}” ({short(each)})" if each in known else short(each) for each in recipients)

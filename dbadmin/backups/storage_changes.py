"""Registering, changing and removing storages. None of these writes or deletes an archive."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.manifest import ARCHIVE_NAME, MANIFEST_NAME
from dbadmin.backups.keys import require_in_use
from dbadmin.backups.storage_places import require_folder
from dbadmin.backups.storage_use import KEPT
from dbadmin.backups.twins import require_alone, shared_with
from dbadmin.choices import CopyState
from dbadmin.exceptions import Refused, ValidationFailed
from dbadmin.models import Copy, Storage
from dbadmin.probing import Stage
from dbadmin.storages import get_storage
from dbadmin.storages.base import Storage as StorageBackend
from dbadmin.storages.probe import StorageProbe, probe_storage
from dbadmin.text import Text

ADDRESS = ("path", "bucket", "container", "account", "endpoint", "prefix", "remote", "options")


def has_moved(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Say whether two descriptions of a kind of storage name different places."""
    return any((before.get(name) or "") != (after.get(name) or "") for name in ADDRESS)


def require_in_sight(storage: Storage, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
    """Refuse a new address at which archives of the catalogue are missing; the new place is listed for that.

    ``StorageError`` when it cannot be. An archive counts when its manifest and its bytes, in number, are there.
    """
    if not has_moved(storage.kind, storage.settings, settings):
        return
    kept = Copy.objects.filter(storage=storage, state__in=KEPT).values_list("backup__key", "size")
    expected = dict(kept)
    if not expected:
        return
    sizes = {each.key: each.size for each in get_storage(storage.kind, settings, secrets).list()}
    missing = [key for key, size in expected.items() if not _is_there(key, size, sizes)]
    if missing:
        raise Refused(
            Text(
                "Changing the address moves nothing: {missing} of the {all} archives in “{name}” are not at the new "
                "one, such as {example}.",
                missing=len(missing),
                all=len(expected),
                name=storage.name,
                example=missing[0],
            ),
            Text(
                "Move them there first, with their names; or add the new place as another storage, let the schedules "
                "write there, and remove this one."
            ),
        )


def _is_there(key: str, size: int, sizes: Mapping[str, int]) -> bool:
    for ending in ("", ".age"):
        archive, manifest = f"{key}/{ARCHIVE_NAME}{ending}", f"{key}/{MANIFEST_NAME}{ending}"
        if manifest in sizes and sizes.get(archive) == size:
            return True
    return False


def require_own_place(storage: Storage, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
    """Refuse a new address that is another storage's place, as far as that can be seen from here, or a file's."""
    if storage.pk is None or has_moved(storage.kind, storage.settings, settings):
        require_folder(storage.kind, settings)
        require_alone(get_storage(storage.kind, settings, secrets), itself=storage.pk)


def try_out(
    kind: str, settings: Mapping[str, Any], secrets: Mapping[str, str], *, stored: Storage | None = None
) -> StorageProbe:
    """Try stage by stage what backups need of a storage; nothing of it stays there.

    ``stored``: the row it is described by, or would be. A folder has to show that it has the archives of that. The
    last stage fails where another storage is already.
    """
    place = get_storage(kind, settings, secrets)
    if stored is None:
        probe = probe_storage(place)
    else:
        described = copy(stored)
        described.settings = dict(settings)
        probe = probe_storage(place, require_present=described.require_folder)
    alone = [] if probe.failed else [_alone(place, stored.pk if stored else None)]
    return replace(probe, stages=(*probe.stages, *alone))


def _alone(place: StorageBackend, itself: int | None) -> Stage:
    began, message, hint = time.monotonic(), Text(""), Text("")
    try:
        require_alone(place, itself=itself)
    except Refused as error:
        message, hint = error.message, error.hint
    milliseconds = (time.monotonic() - began) * 1000
    return Stage(name=Text("own place"), ok=not message, milliseconds=milliseconds, message=message, hint=hint)


def check(storage: Storage) -> StorageProbe:
    """Try a registered storage, and keep the problem on its page until a later try finds none."""
    probe = try_out(storage.kind, storage.settings, storage.secrets, stored=storage)
    storage.checked_at = timezone.now()
    storage.problem, storage.is_away = probe.failed.message if probe.failed else Text(""), probe.is_away
    storage.save(update_fields=["checked_at", "problem", "is_away"])
    return probe


def make_default(storage: Storage, *, actor: audit.Actor) -> None:
    """Let backups that name no storage go here; ``Refused`` for one that is off the dashboard."""
    if storage.removed_at is not None:
        raise Refused(Text("“{name}” is off the dashboard.", name=storage.name), Text("Put it back there first."))
    with transaction.atomic():
        Storage.objects.filter(is_default=True).exclude(pk=storage.pk).update(is_default=False)
        storage.is_default = True
        storage.save(update_fields=["is_default"])
        audit.record(actor, "storage.default", storage)


def obstacles(storage: Storage) -> Iterator[Text]:
    """Yield what has to be changed before a storage can be removed."""
    if storage.is_default:
        yield Text("It is the default storage. Make another one the default first.")
    for destination in storage.destinations.select_related("schedule"):
        yield Text("The schedule “{schedule}” writes here. Give it another storage first.",
                   schedule=destination.schedule.name)  # fmt: skip


def remove(storage: Storage, *, actor: audit.Actor, reason: str) -> None:
    """Take a storage off the dashboard; its archives stay and can be restored. ``Refused`` says what is in the way."""
    with transaction.atomic():
        locked = Storage.objects.select_for_update(no_key=True).get(pk=storage.pk)
        for obstacle in obstacles(locked):
            raise Refused(obstacle)
        if locked.removed_at is None:
            Storage.objects.filter(pk=storage.pk).update(removed_at=timezone.now())
            audit.record(actor, "storage.remove", storage, reason=reason)


def only_here(storage: Storage) -> int:
    """Count the backups that can be restored from this storage alone."""
    kept = Copy.objects.filter(storage=storage, state=CopyState.STORED)
    elsewhere = Copy.objects.filter(backup=OuterRef("backup"), state=CopyState.STORED).exclude(storage=storage)
    return kept.exclude(Exists(elsewhere)).count()


def put_back(storage: Storage, *, actor: audit.Actor) -> None:
    """Show a removed storage again; ``Refused`` when another has taken its place, or all its keys are retired.

    It is written to as soon as something names it. It is tried, which may take half a minute, and its problem kept.
    """
    if storage.removed_at is not None:
        require_in_use(storage.keys.all(), storage.name)
        _require_free(storage)
    with transaction.atomic():
        is_back = Storage.objects.filter(pk=storage.pk, removed_at__isnull=False).update(removed_at=None)
        if is_back:
            audit.record(actor, "storage.return", storage)
    if is_back:
        with contextlib.suppress(ValidationFailed):  # nobody has looked into it while it was off
            check(storage)


def _require_free(storage: Storage) -> None:
    with contextlib.suppress(ValidationFailed):  # its secrets cannot be decrypted; it has to be back to be mended
        if other := shared_with(storage.backend(), itself=storage.pk):
            raise Refused(
                Text(
                    "“{name}” stays off: its place is that of “{other}” now, or one lies in the other.",
                    name=storage.name,
                    other=other.name,
                ),
                Text(
                    "Two storages in one place are one copy. Remove “{other}” from the dashboard first; until then the "
                    "archives of this one can be restored as they are. Nothing was changed.",
                    other=other.name,
                ),
            )

"""A storage named by an address: the registered one at that place, or one that is registered once it was read."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.db.models import F

from dbadmin import audit
from dbadmin.backups.twins import twin_of
from dbadmin.exceptions import DbadminError, StorageError, ValidationFailed
from dbadmin.models import Storage
from dbadmin.storages.addresses import Address

# Settings that say where a storage is; the others say how it is reached.
PLACE = ("path", "bucket", "prefix", "endpoint", "account", "container", "remote", "options")
Seen = TypeVar("Seen")


def reached(address: Address, look: Callable[[Storage], Seen]) -> tuple[Storage, Seen]:
    """Return the storage with which ``look`` ends well, and what that returned; ``keep`` saves it, nothing else does.

    Secrets of the address are tried before those that are stored, and returned where the stored ones do no more.
    Raises what ``look`` raised first.
    """
    stored = registered_at(address)
    if stored is None:
        new = _described(address)
        seen = look(new)
        return _twin(new) or new, seen
    if not address.secrets or _has(stored, address):
        return stored, look(stored)
    given = with_given(stored, address)
    try:
        seen = look(given)
    except (StorageError, ValidationFailed) as error:
        try:
            return stored, look(stored)
        except DbadminError:
            raise error from None
    return (stored if _does(stored, look) else given), seen


def registered_at(address: Address) -> Storage | None:
    """Return the storage that is this place; one that is off the dashboard only when no other is."""
    for storage in Storage.objects.filter(kind=address.kind).order_by(F("removed_at").asc(nulls_first=True), "pk"):
        if all(_plain(storage.settings, name) == _plain(address.settings, name) for name in PLACE):
            return storage
    return None


def with_given(stored: Storage, address: Address) -> Storage:
    """Return the storage as the address would reach it, unsaved; its place and its other settings are its own."""
    given = copy.copy(stored)
    reaching = {name: value for name, value in address.settings.items() if value and name not in PLACE}
    given.settings = stored.settings | reaching
    given.secrets = dict(address.secrets)
    return given


def taken_over(address: Address, *, actor: audit.Actor) -> Storage:
    """Return the registered storage at an address that was just read with its own secrets: they are the right ones."""
    stored = registered_at(address)
    storage = _described(address) if stored is None else with_given(stored, address) if address.secrets else stored
    keep(storage, actor=actor)
    return storage


def keep(storage: Storage, *, actor: audit.Actor) -> None:
    """Register a new one, which is the default where there is none; save what a registered one is reached with now."""
    if storage.pk is not None:
        if Storage.objects.filter(pk=storage.pk, encrypted_secrets=storage.encrypted_secrets).exists():
            return
        storage.save(update_fields=["settings", "encrypted_secrets"])
        audit.record(actor, "storage.change", storage, kind=storage.kind, changed=["secrets"])
        return
    storage.name = _free_name()
    storage.is_default = Storage.is_first()
    storage.save()
    audit.record(actor, "storage.add", storage, kind=storage.kind)


def _twin(new: Storage) -> Storage | None:
    """Return the registered storage that is this place by another name; what can only be read is not asked."""
    with contextlib.suppress(StorageError):
        return twin_of(new.backend(), Storage.objects.registered().order_by("pk"))
    return None


def _described(address: Address) -> Storage:
    place = [str(address.settings.get(name) or "") for name in ("account", "bucket", "container", "remote", "path")]
    storage = Storage(name=" ".join(filter(None, place))[:100], kind=address.kind, settings=dict(address.settings))
    storage.secrets = dict(address.secrets)
    return storage


def _has(stored: Storage, address: Address) -> bool:
    """Say whether the secrets are those that are stored; another encryption key hides what is."""
    given = with_given(stored, address)
    try:
        return (stored.settings, stored.secrets) == (given.settings, given.secrets)
    except ValidationFailed:
        return False


def _does(stored: Storage, look: Callable[[Storage], object]) -> bool:
    try:
        look(stored)
    except DbadminError:
        return False
    return True


def _plain(settings: Mapping[str, Any], name: str) -> str:
    return str(settings.get(name) or "").strip("/")


def _free_name() -> str:
    names, number = set(Storage.objects.values_list("name", flat=True)), 1
    while (name := f"Found {number}") in names:
        number += 1
    return name

"""Give all secrets at rest a new key, so that a crash at any line leaves every one of them readable."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import models

from dbadmin import audit, crypto
from dbadmin.exceptions import Refused
from dbadmin.text import Text

PREFIX = "encrypted_"
# Whoever had read the former key when the file changed has written by then what he was encrypting.
SETTLE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A secret that no key opens; it is left as it is."""

    model: str
    id: int
    name: str
    field: str


@dataclass
class Rotation:
    """What came of it. ``to_set``: keys to put into the environment, because this process cannot.

    Not ``finished``: the former key is still in place, since not every secret has the new one.
    """

    changed: dict[str, int] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)
    to_set: list[str] = field(default_factory=list)
    finished: bool = True


def secret_fields() -> Iterator[tuple[type[models.Model], str]]:
    """Yield every column of the catalogue that holds a secret."""
    for model in apps.get_app_config("dbadmin").get_models():
        for each in model._meta.concrete_fields:
            if each.name.startswith(PREFIX):
                yield model, each.name


def rotate(*, leave_unreadable: bool = False) -> Rotation:
    """Encrypt every secret with a new key and forget the former one; go on with a change that was broken off.

    While there are secrets that neither key opens the former one stays, and the next call goes on with the same two,
    unless ``leave_unreadable`` says that those are given up.

    The key file holds both keys while secrets change, so each can be read at every moment. With a key from the
    environment it takes two calls: the first tells what to set, the second, with both keys set, changes the secrets.
    ``ValidationFailed`` when there is no key here.
    """
    crypto.require_key()
    if settings.ENCRYPTION_KEY_FILE is None:
        return _in_environment(leave_unreadable=leave_unreadable)
    path = Path(settings.ENCRYPTION_KEY_FILE)
    with _alone(path):
        crypto.remove_left_overs(path)
        keys = crypto.keys()
        if len(keys) == 1:
            keys = [crypto.new_key(), *keys]
            crypto.keep_keys(path, keys)
        result = _renew_all(leave_unreadable=leave_unreadable)
        if result.finished:
            crypto.keep_keys(path, keys[:1])
    return result


def _in_environment(*, leave_unreadable: bool) -> Rotation:
    keys = crypto.keys()
    if len(keys) == 1:
        return Rotation(to_set=[crypto.new_key(), *keys], finished=False)
    result = _renew_all(leave_unreadable=leave_unreadable)
    result.to_set = keys[:1] if result.finished else keys
    return result


def _renew_all(*, leave_unreadable: bool) -> Rotation:
    """Look again until a whole round finds nothing that is still of the former key."""
    result = Rotation()
    while _round(result):
        pass
    time.sleep(SETTLE_SECONDS)
    while _round(result):
        pass
    result.finished = leave_unreadable or not result.unreadable
    changed, unreadable = sum(result.changed.values()), len(result.unreadable)
    audit.record(audit.from_shell(), "secrets.rotate", changed=changed, unreadable=unreadable)
    return result


def _round(result: Rotation) -> int:
    result.unreadable = []
    found = 0
    for model, name in secret_fields():
        tokens = model._default_manager.exclude(**{name: ""}).values_list("pk", name)
        for pk, token in list(tokens):
            found += _renew(model, name, pk=pk, token=token, result=result)
    return found


def _renew(model: type[models.Model], name: str, *, pk: int, token: str, result: Rotation) -> int:
    if crypto.is_current(token):
        return 0
    label = f"{model._meta.object_name}.{name}"
    if (new := crypto.renewed(token)) is None:
        row = model._default_manager.get(pk=pk)
        model_name = model._meta.object_name or ""
        result.unreadable.append(Unreadable(model=model_name, id=pk, name=str(row), field=name.removeprefix(PREFIX)))
        return 0
    # Only while it is still what was read: somebody may have entered another password meanwhile.
    if model._default_manager.filter(pk=pk, **{name: token}).update(**{name: new}):
        result.changed[label] = result.changed.get(label, 0) + 1
    return 1


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two of us would each make a key, and one of them would be forgotten."""
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(Text("Another process is changing the key at this moment."), Text("Wait for it.")) from error
        yield

"""Try stage by stage everything that backups need of a storage."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from dbadmin.exceptions import DbadminError, StorageError
from dbadmin.probing import Probe, Stage
from dbadmin.storages.base import Storage
from dbadmin.storages.local import LocalStorage
from dbadmin.storages.objectstore import HASTE, ObjectStorage
from dbadmin.storages.rclone import RcloneStorage
from dbadmin.storages.reasons import StorageDenied, explained
from dbadmin.text import Text

CONNECT_SECONDS = 10
LIST, READ = Text("list"), Text("read")


@dataclass(frozen=True, kw_only=True)
class StorageProbe(Probe):
    """What a probe of a storage found. ``free_bytes``: None where it is not known."""

    free_bytes: int | None = None

    @property
    def is_away(self) -> bool:
        """Whether it could not be reached, listed or read. One that is full can be listed, and is not asked further."""
        listed = any(stage.ok and stage.name == LIST for stage in self.stages)
        return self.failed is not None and (not listed or self.failed.name == READ)

    def require(self) -> None:
        """Raise ``StorageError`` with the failed stage's sentence, if there is one."""
        if stage := self.failed:
            raise StorageError(stage.message, stage.hint)


def probe_storage(storage: Storage, *, require_present: Callable[[], None] = lambda: None) -> StorageProbe:
    """Reach, list, write, read and delete; never raises for a storage that cannot be used, and leaves nothing there.

    What wraps a storage, such as encryption, is not tried. It may take half a minute when the other side is silent.
    ``require_present`` raises ``StorageError`` where what should be listed is not there; nothing is written then.
    """
    inner = bare(storage)
    stages = _Stages()
    try:
        for host, port in _addresses(inner):
            with stages.stage(Text("name")):
                addresses = _resolved(host, port)
            with stages.stage(Text("connect")):
                _connect(addresses)
        _use(inner, stages, require_present)
    except _Failed:
        return StorageProbe(stages=tuple(stages.done))
    return StorageProbe(stages=tuple(stages.done), free_bytes=stages.free_bytes, details=stages.details)


def _use(storage: Storage, stages: _Stages, require_present: Callable[[], None]) -> None:
    if not isinstance(storage, LocalStorage):
        with stages.stage(Text("sign in")), contextlib.suppress(StorageDenied):
            next(storage.list(f"dbadmin-probe-{secrets.token_hex(8)}/"), None)
    with stages.stage(LIST):
        require_present()
        next(storage.list(f"dbadmin-probe-{secrets.token_hex(8)}/"), None)
    key, content = f"dbadmin-probe-{secrets.token_hex(8)}/object", secrets.token_bytes(1000)
    with stages.stage(Text("write")):
        storage.write(key, [content])
    try:
        with stages.stage(READ):
            _require_same(key, b"".join(storage.open(key)), content)
    except _Failed:
        with contextlib.suppress(StorageError):
            storage.delete(key)
        raise
    with stages.stage(Text("delete")):
        storage.delete(key)
        _require_gone(storage, key)
    with stages.stage(Text("free space")):
        stages.free_bytes = storage.free_bytes()
    if stages.free_bytes is not None:
        stages.details["free_bytes"] = str(stages.free_bytes)


class _Failed(Exception):
    """A stage failed; its sentence is among the stages."""


class _Stages:
    def __init__(self) -> None:
        self.done: list[Stage] = []
        self.free_bytes: int | None = None
        self.details: dict[str, str] = {}

    @contextlib.contextmanager
    def stage(self, name: Text) -> Iterator[None]:
        """Time a block; an error of ours in it ends the probe."""
        began, nothing = time.monotonic(), Text("")
        try:
            yield
        except DbadminError as error:
            self._note(name, began, ok=False, message=error.message, hint=error.hint)
            raise _Failed from error
        self._note(name, began, ok=True, message=nothing, hint=nothing)

    def _note(self, name: Text, began: float, *, ok: bool, message: Text, hint: Text) -> None:
        milliseconds = (time.monotonic() - began) * 1000
        self.done.append(Stage(name=name, ok=ok, milliseconds=milliseconds, message=message, hint=hint))


def bare(storage: Storage) -> Storage:
    """Return the storage without what wraps it, in haste, and keeping nothing for days."""
    while (inner := getattr(storage, "inner", None)) is not None:
        storage = inner
    # A locked object of a probe would stay.
    return replace(storage, patience=HASTE, lock_days=0) if isinstance(storage, ObjectStorage) else storage


def _addresses(storage: Storage) -> Iterator[tuple[str, int]]:
    """Yield where to look before anything is signed: nothing for remotes whose server only rclone knows."""
    if isinstance(storage, ObjectStorage | RcloneStorage) and storage.server is not None:
        yield storage.server


def _resolved(host: str, port: int) -> list[tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise explained(f"dns error: {error}", key="") from error
    return list(dict.fromkeys((str(address[0]), int(address[1])) for *_kind, address in found))


def _connect(addresses: list[tuple[str, int]]) -> None:
    """Open a connection to one of the addresses; the last refusal is the one that is told."""
    for number, address in enumerate(addresses, start=1):
        try:
            socket.create_connection(address, timeout=CONNECT_SECONDS).close()
        except OSError as error:
            if number == len(addresses):
                raise explained(str(error), key="") from error
        else:
            return


def _require_same(key: str, found: bytes, expected: bytes) -> None:
    if found != expected:
        raise StorageError(
            Text("What was read is not what was written."),
            Text("Do not keep archives there before that is understood. The object was “{key}”.", key=key),
        )


def _require_gone(storage: Storage, key: str) -> None:
    if storage.stat(key) is not None:
        raise StorageError(
            Text("“{key}” is still there after it was deleted.", key=key),
            Text("Look for a retention rule or an object lock. Archives could not be expired there."),
        )

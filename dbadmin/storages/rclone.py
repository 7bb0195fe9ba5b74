"""Whatever rclone reaches: SFTP, SMB, WebDAV, Drive and many more."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from dbadmin.exceptions import StorageError
from dbadmin.storages import claims
from dbadmin.storages.base import TEMPORARY, Counted, StoredObject, is_temporary, require_name
from dbadmin.storages.rclone_program import Rclone
from dbadmin.storages.reasons import missing, taken
from dbadmin.storages.remote import is_configured, parse_options
from dbadmin.storages.resuming import resuming
from dbadmin.text import Text

PORTS = {"sftp": 22, "smb": 445, "ftp": 21}


@dataclass(frozen=True, kw_only=True)
class RcloneStorage:
    """Keep archives below the folder ``root`` of a remote."""

    rclone: Rclone
    root: str

    @property
    def server(self) -> tuple[str, int] | None:
        """Host and port of the remote, where they are among its options."""
        host, port = self.rclone.options.get("host", ""), self.rclone.options.get("port", "")
        usual = PORTS.get(self.rclone.remote, 0)
        return (host, int(port) if port.isdecimal() else usual) if host and (port.isdecimal() or usual) else None

    @property
    def is_local(self) -> bool:
        """Say whether it is a folder of this machine."""
        return self.rclone.remote == "local"

    @property
    def account(self) -> tuple[object, ...]:
        """What tells this remote from others: host and user, or where no host is named all that describes it."""
        options, secrets = self.rclone.options, self.rclone.secrets
        if self.server is not None:
            return (self.rclone.remote, self.server, options.get("user", ""))
        return (self.rclone.remote, *sorted(options.items()), *sorted(secrets.items()))

    def write(self, key: str, chunks: Iterable[bytes], *, expected_size: int | None = None) -> StoredObject:
        """Feed a temporary file, look at its size, then give it its name."""
        require_name(key)
        if self.has(key):
            raise taken(key)
        temporary = _beside(key)
        try:
            size, digest = self._send(temporary, chunks, about=key)
            sent = self._require_size(temporary, size, about=key)
            with claims.sole_writer(self, key):
                self._rename(temporary, key, size)
        except BaseException:
            # When the line is cut it stays until ``sweep``; nobody takes it for an object.
            with contextlib.suppress(StorageError):
                self.unmark(temporary)
            raise
        return StoredObject(key=key, size=size, modified=sent.modified, sha256=digest)

    def open(self, key: str, *, offset: int = 0) -> Iterator[bytes]:
        """Stream the object."""
        require_name(key)
        return resuming(lambda position: self._read(key, position), offset=offset)

    def stat(self, key: str) -> StoredObject | None:
        """Return the object, or None."""
        return self._look(require_name(key))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Ask for everything below the folder that ``prefix`` is in; nothing when that is not there yet."""
        found = self._all(prefix.rpartition("/")[0])
        return (each for each in found if each.key.startswith(prefix) and not is_temporary(each.key))

    def delete(self, key: str) -> None:
        """Remove the object, and its folder when that is empty then."""
        self.unmark(require_name(key))
        folder = key.rpartition("/")[0]
        if folder:
            with contextlib.suppress(StorageError):  # that it is not empty is what usually is
                self.rclone.read(key, "rmdir", self._place(folder))

    def discard(self, prefix: str) -> None:
        """Remove the folder and everything in it."""
        self.rclone.read(prefix, "purge", self._place(require_name(prefix)))

    def sweep(self, *, before: datetime) -> int | None:
        """Remove temporary files and marks that are older."""
        found = [each for each in self._all("") if is_temporary(each.key) and each.modified < before]
        for each in found:
            self.unmark(each.key)
        return len(found)

    def free_bytes(self) -> int | None:
        """Return what the remote says of the folder, or while that is not there of those above, if it says anything."""
        for folder in (self.root, *map(str, PurePosixPath(self.root).parents)):
            try:
                said = self.rclone.read("", "about", "--json", self.rclone.place(folder))
            except StorageError as error:
                if "support about" in str(error):
                    return None
                if "not exist" not in str(error):
                    raise
                continue
            if said is not None:
                free = json.loads(said).get("free")
                return int(free) if free is not None else None
        return None

    def mark(self, name: str, *, about: str) -> None:
        """Store a claim."""
        self._send(name, [b"dbadmin"], about=about)

    def marks(self, folder: str) -> Listed:
        """Return everything in the folder."""
        return self._all(folder, "--max-depth", "1")

    def has(self, key: str) -> bool:
        """Say whether there is such an object."""
        return self._look(key) is not None

    def unmark(self, name: str) -> None:
        """Remove an object, temporary file or claim."""
        self.rclone.read(name, "deletefile", self._place(name))

    def _send(self, name: str, chunks: Iterable[bytes], *, about: str) -> tuple[int, str]:
        counted = Counted(chunks)
        self.rclone.feed(about, counted, "rcat", self._place(name))
        return counted.size, counted.sha256

    def _read(self, key: str, position: int) -> Iterator[bytes]:
        return self.rclone.stream(key, "cat", "--offset", str(position), self._place(key))

    def _rename(self, temporary: str, key: str, size: int) -> None:
        try:
            if self.rclone.read(key, "moveto", self._place(temporary), self._place(key)) is None:
                raise missing(temporary)
        except StorageError:
            # The answer may have got lost after the work was done. Nobody else may write this name now.
            found = self._look(key)
            if found is None or found.size != size:
                raise

    def _require_size(self, name: str, size: int, *, about: str) -> StoredObject:
        found = self._look(name)
        if found is None or found.size != size:
            raise StorageError(
                Text(
                    "“{key}” has {found} bytes in the storage in place of {size}.",
                    key=about,
                    found=found.size if found else 0,
                    size=size,
                ),
                Text("Check that the storage has free space, and try again."),
            )
        return found

    def _look(self, name: str) -> StoredObject | None:
        said = self.rclone.read(name, "lsjson", "--stat", "--no-mimetype", self._place(name))
        found = json.loads(said or "null")
        return _stored(name, found) if found and not found["IsDir"] else None

    def _all(self, folder: str, *arguments: str) -> Listed:
        """Return the files below the folder, also those that are no objects yet, sorted."""
        how = ("lsjson", "--recursive", "--files-only", "--no-mimetype", *arguments, self._place(folder))
        found = json.loads(self.rclone.read("", *how) or "[]")
        before = f"{folder}/" if folder else ""
        return sorted((_stored(f"{before}{each['Path']}", each) for each in found), key=lambda each: each.key)

    def _place(self, key: str) -> str:
        return self.rclone.place(f"{self.root.rstrip('/')}/{key}" if key else self.root)


Listed = list[StoredObject]


def rclone(settings: Mapping[str, Any], secrets: Mapping[str, str]) -> RcloneStorage:
    """Return the storage of stored settings."""
    options = parse_options(settings.get("options") or "")
    secret = parse_options(secrets.get("secret_options") or "")
    remote = str(settings["remote"])
    if is_configured(remote):
        options, secret = {}, {}
    return RcloneStorage(rclone=Rclone(remote=remote, options=options, secrets=secret), root=str(settings["path"]))


def _beside(key: str) -> str:
    folder, slash, _name = key.rpartition("/")
    return f"{folder}{slash}{TEMPORARY}{secrets.token_hex(8)}"


def _stored(key: str, found: Mapping[str, Any]) -> StoredObject:
    return StoredObject(key=key, size=int(found["Size"]), modified=datetime.fromisoformat(found["ModTime"]))

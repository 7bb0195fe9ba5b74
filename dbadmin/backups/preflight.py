"""Look at everything a restore depends on before it begins. Changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbadmin.archives.manifest import ARCHIVE_NAME, Manifest
from dbadmin.backups import spool
from dbadmin.backups.keys import needed
from dbadmin.backups.reading import read, require_stored, trusted_manifest
from dbadmin.backups.restore import new_target
from dbadmin.choices import BackupState, EngineName, Scope, Verdict
from dbadmin.engines.postgresql import clients
from dbadmin.exceptions import CorruptArchive, DbadminError, StorageError
from dbadmin.models import Backup, Copy, Database
from dbadmin.models.keys import names
from dbadmin.storages.base import Storage as StorageBackend
from dbadmin.text import Text


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing that was looked at. Critical items make the restore impossible; unknown ones were not to be seen."""

    name: Text
    verdict: Verdict
    message: Text
    hint: Text = field(default_factory=lambda: Text(""))


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """All items, in the order in which a restore meets them."""

    items: tuple[Item, ...]
    address: str = ""

    @property
    def may_start(self) -> bool:
        """Say whether nothing stands in the way."""
        return all(item.verdict != Verdict.CRITICAL for item in self.items)


def look_ahead(*, backup: Backup, beside: Database, target_name: str, keep_owners: bool) -> Preflight:
    """Examine the archive, the tools, the target and the space for restoring ``backup`` beside a database.

    Never raises ``DbadminError``: what is wrong is an item.
    """
    looking = Looking(backup=backup, beside=beside, target_name=target_name, keep_owners=keep_owners)
    items = tuple(looking.items())
    return Preflight(items=items, address=looking.address)


@dataclass(kw_only=True)
class Looking:
    """What can be looked at, each as a method that returns an item or raises ``DbadminError``."""

    backup: Backup
    beside: Database
    target_name: str
    keep_owners: bool
    manifest: Manifest | None = None
    target: Any = None

    @property
    def address(self) -> str:
        """Where the restore goes; empty while that is not known."""
        return str(self.target.address) if self.target is not None else ""

    def items(self) -> Iterator[Item]:
        """Look at everything, in order."""
        yield self.judged(Text("Archive"), self.archive)
        yield self.judged(Text("Proof"), self.proof)
        yield self.judged(Text("Target"), self.free_target)
        yield self.judged(Text("Server and tools"), self.tools)
        yield self.judged(Text("Working space"), self.working_space)
        if self.target is not None:
            yield self.judged(Text("Space at the target"), self.target_space)
        if self.backup.scope != Scope.FULL:
            yield self.judged(Text("Scope"), self.scope)
        if self.backup.database.engine == EngineName.POSTGRESQL:
            yield self.judged(Text("Roles and extensions"), self.roles)

    def judged(self, name: Text, look: Callable[[], Item]) -> Item:
        """Turn what is raised into a critical item."""
        try:
            found = look()
        except DbadminError as error:
            found = critical(error.message, error.hint)
        return Item(name=name, verdict=found.verdict, message=found.message, hint=found.hint)

    def archive(self) -> Item:
        """It has to be there, whole and the catalogue's."""
        require_stored(self.backup)
        if missing := needed(self.backup):
            return Item(
                name=Text(""),
                verdict=Verdict.UNKNOWN,
                message=Text("It is encrypted, and its private key is not here: {keys}.", keys=names(missing)),
                hint=Text("Choose the key file below; the archive is looked at before anything is touched."),
            )
        self.manifest = read(self.backup, self._whole, marking=False)
        return ok(Text("It is in its storage, as long as it was, with a manifest that belongs to it."))

    def _whole(self, copy: Copy, backend: StorageBackend) -> Manifest:
        manifest = trusted_manifest(self.backup, backend)
        stored = backend.stat(f"{self.backup.key}/{ARCHIVE_NAME}")
        if stored is None:
            raise StorageError(
                Text("The storage has no “{key}”.", key=f"{self.backup.key}/{ARCHIVE_NAME}"),
                Text("It may have been moved or deleted outside dbadmin."),
            )
        if stored.size != copy.size:
            raise CorruptArchive(
                Text("The archive has {found} bytes instead of {known}.", found=stored.size, known=copy.size),
                Text("Choose another backup, and check the disk this one is kept on."),
            )
        return manifest

    def proof(self) -> Item:
        """What is known of its content."""
        if self.backup.state == BackupState.DAMAGED:
            return critical(
                Text("The last look found the archive damaged."),
                Text("Choose another backup. When the storage was mended, verify this one again."),
            )
        return ok(Text("Every byte is compared with its SHA-256 before anything is written to the target."))

    def free_target(self) -> Item:
        """The name has to be free."""
        self.target = new_target(self.backup, self.beside, self.target_name, anywhere=False)
        return ok(Text("{address} is free and will be new.", address=self.address))

    def tools(self) -> Item:
        """The server has to answer, and a client has to fit."""
        info = self.beside.adapter.probe(self.beside.connection())
        info.require()
        if self.backup.database.engine != EngineName.POSTGRESQL:
            return ok(Text("Reachable; no other program is needed."))
        client = clients.restore_client(clients.version_major(info.version), self.backup.client_version)
        sentence = Text(
            "pg_restore {client} fits the backup of version {dumped} and the server of version {server}.",
            client=client.version,
            dumped=self.backup.client_version,
            server=info.version,
        )
        if clients.version_major(info.version) < clients.version_major(self.backup.server_version):
            return Item(
                name=Text(""),
                verdict=Verdict.WARNING,
                message=sentence,
                hint=Text("The server is older than the one the backup is of; what is newer may be missing."),
            )
        return ok(sentence)

    def working_space(self) -> Item:
        """The archive is unpacked on this machine."""
        needed = self.unpacked_size()
        spool.require_space(needed)
        return ok(Text("{needed} MB are needed to unpack and are free.", needed=_megabytes(needed)))

    def target_space(self) -> Item:
        """The copy is made there."""
        path = getattr(self.target, "path", None) or getattr(self.target, "root", None)
        if not isinstance(path, Path):
            return Item(
                name=Text(""),
                verdict=Verdict.UNKNOWN,
                message=Text("How much space the server has cannot be seen from here."),
                hint=Text("Have about as much free there as the original database takes."),
            )
        folder = next(folder for folder in path.parents if folder.exists())
        free = shutil.disk_usage(folder).free
        sentence = Text("{folder} has {free} MB free.", folder=str(folder), free=_megabytes(free))
        return ok(sentence) if free > self.unpacked_size() else critical(sentence, Text("Free some space there."))

    def scope(self) -> Item:
        """What a partial backup lacks."""
        message = (
            Text("Schema only: the new database will have no rows.")
            if self.backup.scope == Scope.SCHEMA
            else Text("Data only: without their tables the rows cannot be restored into something new.")
        )
        return Item(
            name=Text(""), verdict=Verdict.WARNING, message=message, hint=Text("Choose a full backup for a full copy.")
        )

    def roles(self) -> Item:
        """Who will own what."""
        if self.keep_owners:
            return ok(Text("Owners and grants are restored; what the server lacks for that is named in the report."))
        return ok(Text("Everything will belong to the user dbadmin connects with; grants are left out."))

    def unpacked_size(self) -> int:
        """Bytes of the unpacked archive."""
        return sum(member.size for member in self.manifest.members) if self.manifest else self.backup.size


def ok(message: Text) -> Item:
    """Return an item that is well."""
    return Item(name=Text(""), verdict=Verdict.OK, message=message)


def critical(message: Text, hint: Text) -> Item:
    """Return an item that stands in the way."""
    return Item(name=Text(""), verdict=Verdict.CRITICAL, message=message, hint=hint)


def _megabytes(size: int) -> int:
    return size // 1_000_000 + 1

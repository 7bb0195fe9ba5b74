"""Put an archive into one storage: the tar, the manifest last, and everything read back before it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from dbadmin.archives.encryption import EncryptedStorage
from dbadmin.archives.manifest import ARCHIVE_NAME, MANIFEST_NAME, Manifest
from dbadmin.archives.reader import read_manifest, verify
from dbadmin.choices import JobState
from dbadmin.exceptions import DbadminError, Refused, StorageError
from dbadmin.models import Job, Storage
from dbadmin.progress import Progress
from dbadmin.storages.base import Storage as StorageBackend
from dbadmin.storages.base import StoredObject
from dbadmin.text import Text


@dataclass(frozen=True, kw_only=True)
class Placed:
    """The archive as one storage has it now: of what is encrypted, size and hash are the ciphertext's."""

    size: int
    sha256: str
    recipients: tuple[str, ...]


def place(
    backend: StorageBackend,
    key: str,
    *,
    archive: Callable[[], StoredObject],
    manifest: Callable[[], Manifest],
    progress: Progress,
) -> Placed:
    """Have ``archive`` write the tar, store the manifest, and read all of it back.

    Raises ``StorageError``, or what was raised by the two; what is there then the caller has to discard.
    """
    stored = archive()
    backend.write(f"{key}/{MANIFEST_NAME}", [manifest().to_bytes()])
    # What cannot be read back as it was written never becomes a copy.
    check(backend, key, sha256=stored.sha256, manifest=lambda: read_manifest(backend, key), progress=progress)
    return Placed(size=stored.size, sha256=stored.sha256, recipients=recipients_of(backend))


def check(
    backend: StorageBackend, key: str, *, sha256: str, manifest: Callable[[], Manifest], progress: Progress
) -> None:
    """Read the archive and compare it with ``manifest``; raises ``StorageError`` or ``CorruptArchive``.

    What no private key here opens is compared with ``sha256``, the hash of what is stored.
    """
    if is_readable(backend, key):
        verify(backend, key, manifest(), progress)
    else:
        check_sealed(backend, key, sha256, progress)


def is_readable(backend: StorageBackend, key: str) -> bool:
    """Whether it is in clear, or a private key at hand opens it; reads a little of it."""
    return not isinstance(backend, EncryptedStorage) or backend.can_open(f"{key}/{MANIFEST_NAME}")


def check_sealed(backend: StorageBackend, key: str, sha256: str, progress: Progress) -> None:
    """Compare the archive as it is stored with its hash."""
    assert isinstance(backend, EncryptedStorage)
    name = f"{key}/{ARCHIVE_NAME}"
    found = backend.stat(name)
    progress.phase(Text("Checking the archive"), total=found.size if found else None)
    backend.check_sealed(name, sha256, progress)


def described(manifest: Manifest) -> dict[str, Any]:
    """Return the fields of a Backup that its manifest knows."""
    return {
        "scope": manifest.scope,
        "started_at": manifest.started_at,
        "finished_at": manifest.finished_at,
        "size": manifest.archive_size,
        "sha256": manifest.archive_sha256,
        "row_count": manifest.facts.rows,
        "server_version": manifest.server_version[:50],
        "client_version": manifest.client_version[:50],
        "schema_head": manifest.facts.head,
        "facts": manifest.facts.without_names().to_json(),
        "origin": dict(manifest.origin),
    }


def recipients_of(backend: StorageBackend) -> tuple[str, ...]:
    """Return the public keys that new archives are encrypted for; none: they are stored in clear."""
    return backend.recipients if isinstance(backend, EncryptedStorage) else ()


def discarded(storage: Storage, key: str) -> bool:
    """Remove what was begun; False when that cannot be done now, so that the caller's row has to keep it in mind."""
    try:
        storage.backend().discard(key)
    except DbadminError:
        return False
    return True


def require_vacant(backend: StorageBackend, key: str, name: str) -> None:
    """Refuse where this backup lies already: another storage is the same place, and its copy must not be touched."""
    if next(iter(backend.list(f"{key}/")), None) is not None:
        raise StorageError(
            Text("“{name}” has this backup already, by another storage that is the same place.", name=name),
            Text("Test both storages, give one of them another place, or remove it from the dashboard."),
        )


def still_held(job: Job | None) -> bool:
    """Whether a job is this process's still; when it was given up, another process may be doing the same by now."""
    return job is None or Job.objects.filter(pk=job.pk, state=JobState.RUNNING, worker=job.worker).exists()


def require_room(backend: StorageBackend, needed: int, name: str) -> None:
    """Refuse when the storage, called ``name``, says that it has less than ``needed`` bytes left."""
    free = backend.free_bytes()
    if free is not None and needed > free:
        raise Refused(
            Text(
                "“{storage}” has {free} free; about {needed} are needed.",
                storage=name,
                free=_amount(free, floor),
                needed=_amount(needed, ceil),
            ),
            Text("Free some space there, or choose another storage."),
        )


def _amount(size: int, rounded: Callable[[float], int]) -> str:
    """In the largest unit that leaves something before the point."""
    for unit, length in (("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1000)):
        if size >= length:
            return f"{rounded(size * 10 / length) / 10} {unit}"
    return f"{size} B"

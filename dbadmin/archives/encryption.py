"""Archives encrypted with age: as streams, and as a storage that seals what it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime

import pyrage

from dbadmin.archives.age import recipient_of, shorts, to_identity, to_recipient
from dbadmin.archives.inside_out import inside_out
from dbadmin.exceptions import CorruptArchive, KeyMissing, StorageError
from dbadmin.progress import Progress
from dbadmin.storages.base import Storage, StoredObject
from dbadmin.text import Text

SUFFIX = ".age"
# age seals 64 KiB at a time and adds 16 bytes to each; before them a header of some hundred bytes.
PIECE, TAG, HEADER = 1 << 16, 16, 600

_offered: ContextVar[tuple[str, ...]] = ContextVar("offered", default=())


@contextmanager
def offered(identities: Sequence[str]) -> Iterator[None]:
    """Let every ``EncryptedStorage`` made in this block read with these private keys, too."""
    token = _offered.set(tuple(identities))
    try:
        yield
    finally:
        _offered.reset(token)


def encrypt(chunks: Iterable[bytes], recipients: Sequence[str]) -> Iterator[bytes]:
    """Yield ``chunks`` encrypted for all ``recipients`` (public keys, one at least), in constant memory.

    Any of the private keys opens it. What ``chunks`` raises passes through. ``ValidationFailed`` for a bad key.
    """
    keys = [to_recipient(recipient) for recipient in recipients]
    return inside_out(chunks, lambda reader, writer: pyrage.encrypt_io(reader, writer, keys))


def decrypt(chunks: Iterable[bytes], identities: Sequence[str]) -> Iterator[bytes]:
    """Yield what was encrypted. What has passed is genuine; that it was all of it is known at the end only.

    ``KeyMissing`` before the first byte when no private key opens it; ``CorruptArchive`` when it was altered or ends
    early. What ``chunks`` raises passes through.
    """
    keys = [to_identity(identity) for identity in identities]
    plain = inside_out(chunks, lambda reader, writer: pyrage.decrypt_io(reader, writer, keys))
    while True:
        # Errors of the source are ours or the system's: only what age itself says is translated.
        try:
            chunk = next(plain, b"")
        except pyrage.DecryptError as error:
            raise _refused(error, identities) from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise _altered(str(error)) from error
        if not chunk:
            return
        yield chunk


class EncryptedStorage:
    """A storage that keeps ``<key>`` as ``<key>.age`` when there are ``recipients``, and in clear otherwise.

    It reads both, whatever it writes: encryption can be turned on and off, and keys can change, without rewriting
    anything. Sizes and hashes it returns are of what is stored, not of what was given. ``identities`` is called when
    something has to be decrypted, not before; keys that were ``offered`` when this was made are added.
    """

    def __init__(
        self, inner: Storage, *, recipients: Sequence[str] = (), identities: Callable[[], Sequence[str]] = tuple
    ) -> None:
        self.inner = inner
        self.recipients = tuple(recipients)
        self._known = identities
        self._offered = _offered.get()

    def write(self, key: str, chunks: Iterable[bytes], *, expected_size: int | None = None) -> StoredObject:
        """Encrypt while storing; refuses also when the other form of the object is there."""
        self._require_absent(key if self.recipients else key + SUFFIX, key)
        if not self.recipients:
            return self.inner.write(key, chunks, expected_size=expected_size)
        size = None if expected_size is None else sealed_size(expected_size)
        return self.write_sealed(key, encrypt(chunks, self.recipients), expected_size=size)

    def write_sealed(self, key: str, chunks: Iterable[bytes], *, expected_size: int | None = None) -> StoredObject:
        """Store what is encrypted already, such as another storage's ``open_sealed``."""
        return _named(self.inner.write(key + SUFFIX, chunks, expected_size=expected_size))

    def open(self, key: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yield the object in clear; ``KeyMissing`` at the first byte when that cannot be.

        Of what is encrypted everything before ``offset`` is read and thrown away.
        """
        if not self.is_sealed(key):
            yield from self.inner.open(key, offset=offset)
            return
        for chunk in decrypt(self.inner.open(key + SUFFIX), self._identities()):
            if offset < len(chunk):
                yield chunk[offset:]
            offset = max(0, offset - len(chunk))

    def open_sealed(self, key: str) -> Iterator[bytes]:
        """Yield the object as it is stored, encrypted or not."""
        return self.inner.open(self._stored_name(key))

    def is_sealed(self, key: str) -> bool:
        """Whether the object is stored encrypted; asks the storage."""
        return self._stored_name(key) != key

    def can_open(self, key: str) -> bool:
        """Whether the object is in clear or a private key at hand opens it; reads its beginning."""
        chunks = self.open(key)
        try:
            next(chunks, b"")
        except KeyMissing:
            return False
        finally:
            chunks.close()  # type: ignore[attr-defined]
        return True

    def openers(self, key: str) -> list[str]:
        """Return the public keys whose private halves at hand open the object; reads its beginning for each."""
        return [recipient_of(identity) for identity in self._identities() if self._opens(key, identity)]

    def _opens(self, key: str, identity: str) -> bool:
        try:
            next(decrypt(self.inner.open(key + SUFFIX), [identity]), b"")
        except KeyMissing:
            return False
        return True

    def check_sealed(self, key: str, sha256: str, progress: Progress) -> None:
        """Compare the object as it is stored with its hash; needs no private key. ``CorruptArchive`` if it differs."""
        digest, done = hashlib.sha256(), 0
        for chunk in self.open_sealed(key):
            digest.update(chunk)
            done += len(chunk)
            progress.update(done)
            progress.check()
        if digest.hexdigest() != sha256:
            raise CorruptArchive(
                Text("“{key}” is not what was stored: its hash has changed.", key=key),
                Text("Choose another backup, and check the disk this one is kept on."),
            )

    def stat(self, key: str) -> StoredObject | None:
        """Return the object, in whichever form it is stored."""
        names = (key + SUFFIX, key) if self.recipients else (key, key + SUFFIX)
        found = next((each for name in names if (each := self.inner.stat(name))), None)
        return replace(found, key=key) if found else None

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects of both forms under the keys they were written with."""
        # Sorted again: “a-b.age” comes before “a.age”, and “a-b” after “a”.
        found = {each.key: each for each in map(_named, self.inner.list(prefix))}
        yield from (found[key] for key in sorted(found))

    def delete(self, key: str) -> None:
        """Remove the object in both forms."""
        self.inner.delete(key + SUFFIX)
        self.inner.delete(key)

    def discard(self, prefix: str) -> None:
        """Remove everything below the folder."""
        self.inner.discard(prefix)

    def sweep(self, *, before: datetime) -> int | None:
        """Remove what was left half written."""
        return self.inner.sweep(before=before)

    def free_bytes(self) -> int | None:
        """Return how much can still be stored."""
        return self.inner.free_bytes()

    def _stored_name(self, key: str) -> str:
        """Return the name of the form that is there; one question where it is the one that would be written."""
        first, second = (key + SUFFIX, key) if self.recipients else (key, key + SUFFIX)
        if self.inner.stat(first) is None and self.inner.stat(second) is not None:
            return second
        return first

    def _require_absent(self, name: str, key: str) -> None:
        if self.inner.stat(name) is not None:
            raise StorageError(Text("The storage already has “{key}”; it is not replaced.", key=key))

    def _identities(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._offered, *self._known())))


def sealed_size(size: int) -> int:
    """Return about how many bytes ``size`` bytes become, never fewer."""
    return size + TAG * (size // PIECE + 2) + HEADER


def _named(stored: StoredObject) -> StoredObject:
    return replace(stored, key=stored.key.removesuffix(SUFFIX))


def _refused(error: pyrage.DecryptError, identities: Sequence[str]) -> StorageError:
    if "No matching keys" not in str(error):
        return _altered(str(error).splitlines()[0])
    tried = tuple(recipient_of(identity) for identity in identities)
    if not tried:
        return KeyMissing(
            Text("This archive is encrypted, and there is no private key here to open it."),
            Text("Add the key file of the archive; nothing was changed."),
        )
    return KeyMissing(
        Text("This archive is encrypted for another key than those at hand: {keys}.", keys=shorts(tried)),
        Text("Add the key file of the archive; nothing was changed."),
    )


def _altered(reason: str) -> CorruptArchive:
    return CorruptArchive(
        Text("The encrypted archive was altered or is incomplete: {reason}.", reason=reason),
        Text("Choose another backup, and check the disk this one is kept on. Nothing was changed."),
    )

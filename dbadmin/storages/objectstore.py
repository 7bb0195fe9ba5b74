"""Buckets: S3-compatible, Google Cloud Storage and Azure Blob Storage, by obstore."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from dbadmin.exceptions import StorageError, StorageUnreachable
from dbadmin.storages import claims
from dbadmin.storages.base import CHUNK, Counted, StoredObject, is_temporary, require_name
from dbadmin.storages.reasons import StorageDenied, explained, missing, taken
from dbadmin.storages.resuming import resuming
from dbadmin.storages.uploads import Uploads
from dbadmin.text import Text

MEGABYTE = 1 << 20
SMALLEST_PART, USUAL_PART = 8 * MEGABYTE, 16 * MEGABYTE
# Providers take 10 000 parts; the rest is for an estimate that was too small.
PARTS = 8_000
IN_FLIGHT = 64 * MEGABYTE
# What an upload has to reach at least, all parts in flight together, before it is given up as stalled.
SLOWEST = 32 * 1024
_ARCHIVE = re.compile(r"[^/]+/\d{8}T\d{6}Z-[^/]+/[^/]+")

Connect = Callable[[dict[str, Any], int], Any]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often a request is repeated that failed on its way or in the server, and how long silence is borne."""

    retries: int
    silence: timedelta


USUAL = Patience(retries=8, silence=timedelta(seconds=90))
HASTE = Patience(retries=1, silence=timedelta(seconds=10))


@dataclass(frozen=True, kw_only=True)
class ObjectStorage:
    """Keep archives in a bucket. ``connect`` makes a store of obstore from options of its HTTP client and retries.

    ``uploads`` knows the uploads that nobody finished, where that can be asked. ``prefix`` is what ``connect`` puts
    before each key. ``bucket`` is its whole address, the same whichever way requests name it.
    """

    connect: Connect = field(repr=False)
    address: str
    bucket: str
    prefix: str = ""
    storage_class: str = ""
    uploads: Uploads | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    patience: Patience = USUAL
    lock_days: int = 0
    lock_mode: str = "GOVERNANCE"

    @property
    def server(self) -> tuple[str, int] | None:
        """Host and port that requests go to."""
        parts = urlsplit(self.address)
        return (parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)) if parts.hostname else None

    def write(self, key: str, chunks: Iterable[bytes], *, expected_size: int | None = None) -> StoredObject:
        """Send parts as they come; only their completion gives the object its name."""
        require_name(key)
        self._require_lockable(key)
        if self.has(key):
            raise taken(key)
        counted = Counted(chunks)
        source = iter(counted)
        beginning, is_all = _begin(source, SMALLEST_PART)
        if is_all:
            self._put(key, beginning)
        else:
            self._send(key, chain([beginning], source), part=part_size(expected_size))
        found = self.stat(key)
        if found is None or found.size != counted.size:
            raise missing(key)
        self._lock(key)
        return StoredObject(key=key, size=counted.size, modified=found.modified, sha256=counted.sha256)

    def open(self, key: str, *, offset: int = 0) -> Iterator[bytes]:
        """Stream the object; nothing comes when it ends before ``offset``."""
        require_name(key)
        return resuming(lambda position: self._read(key, position), offset=offset)

    def stat(self, key: str) -> StoredObject | None:
        """Return the object; None only where the bucket says that it has none of that name."""
        require_name(key)
        with self._sentences(key):
            try:
                return _stored(obstore.head(self._reader, key))
            except (FileNotFoundError, PermissionDeniedError, UnauthenticatedError):
                # The answer to HEAD has no body: whether the object, the bucket or the permission is missing, only
                # a list tells.
                return next((each for each in self.list(key) if each.key == key), None)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Ask for the folder that ``prefix`` is in."""
        found = self._all(prefix.rpartition("/")[0])
        return (each for each in found if each.key.startswith(prefix) and not is_temporary(each.key))

    def delete(self, key: str) -> None:
        """Remove the object."""
        self.unmark(require_name(key))

    def discard(self, prefix: str) -> None:
        """Remove what is below the folder, and the uploads to it that are not finished."""
        for each in self._all(require_name(prefix)):
            self.unmark(each.key)
        self._abort(f"{prefix}/")

    def sweep(self, *, before: datetime) -> int | None:
        """Remove marks and unfinished uploads; where there is no prefix only of names that archives have."""
        marks = [each for each in self._all("") if is_temporary(each.key) and each.modified < before]
        for each in marks:
            self.unmark(each.key)
        aborted = self._abort("", before=before)
        return None if aborted is None else len(marks) + aborted

    def free_bytes(self) -> int | None:
        """Buckets do not say."""
        return None

    def mark(self, name: str, *, about: str) -> None:
        """Store a claim."""
        with self._sentences(about):
            obstore.put(self._reader, name, b"dbadmin", use_multipart=False)

    def marks(self, folder: str) -> Listed:
        """Return everything in the folder."""
        return self._all(folder)

    def has(self, key: str) -> bool:
        """Say whether there is such an object."""
        return self.stat(key) is not None

    def unmark(self, name: str) -> None:
        """Remove an object or claim."""
        with self._sentences(name), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._reader, name)

    @functools.cached_property
    def _reader(self) -> Any:
        options = {"timeout": timedelta(hours=24), "read_timeout": self.patience.silence}
        return self.connect(options, self.patience.retries)

    def _writer(self, in_flight: int) -> Any:
        """Return a store that waits until so many bytes, which it sends at the same time, got through a slow line."""
        seconds = max(self.patience.silence.seconds, in_flight // SLOWEST)
        return self.connect({"timeout": timedelta(seconds=seconds)}, self.patience.retries)

    def _put(self, key: str, content: bytes) -> None:
        """Store a small object in one request, which many servers refuse when there is one."""
        options: dict[str, Any] = {"attributes": self._attributes, "use_multipart": False}
        with claims.sole_writer(self, key), self._sentences(key):
            store = self._writer(len(content))
            try:
                obstore.put(store, key, content, mode="create", **options)
            except NotSupportedError:
                obstore.put(store, key, content, mode="overwrite", **options)

    def _send(self, key: str, source: Iterable[bytes], *, part: int) -> None:
        parallel = max(1, min(4, IN_FLIGHT // part))
        with self._sentences(key):
            store = self._writer(parallel * part)
            upload = obstore.open_writer(
                store, key, attributes=self._attributes, buffer_size=part, max_concurrency=parallel
            )
        try:
            sent = 0
            for chunk in source:
                sent += len(chunk)
                with self._sentences(key):
                    upload.write(chunk)
            with claims.sole_writer(self, key):
                self._complete(upload, key, sent)
        except BaseException as error:
            self._abandon(upload, key, error)
            raise

    def _complete(self, upload: obstore.WritableFile, key: str, size: int) -> None:
        try:
            with self._sentences(key):
                upload.close()
        except StorageUnreachable:
            # The answer may have got lost after the work was done. Nobody else may write this name now.
            found = self.stat(key)
            if found is None or found.size != size:
                raise

    def _require_lockable(self, key: str) -> None:
        if self.lock_days and self.uploads is None:
            raise StorageError(
                Text("“{key}” cannot be locked without keys of its own.", key=key),
                Text("Enter access key and secret key in the storage's settings, or let the bucket lock by default."),
            )

    def _lock(self, key: str) -> None:
        """Lock what was stored; an object that should be locked and cannot be does not stay."""
        if not self.lock_days or self.uploads is None:
            return
        whole = f"{self.prefix}/{key}" if self.prefix else key
        try:
            self.uploads.lock(whole, until=datetime.now(UTC) + timedelta(days=self.lock_days), mode=self.lock_mode)
        except StorageError:
            with contextlib.suppress(StorageError):
                self.unmark(key)
            raise

    def _abandon(self, upload: obstore.WritableFile, key: str, error: BaseException) -> None:
        """Remove what was sent. What cannot be removed now, because the line is cut, is left to ``sweep``."""
        with contextlib.suppress(StorageError), self._sentences(key):
            upload.__exit__(type(error), error, error.__traceback__)

    def _abort(self, prefix: str, *, before: datetime | None = None) -> int | None:
        """Abort unfinished uploads whose key begins with ``prefix``; None where they cannot be asked for."""
        if self.uploads is None:
            return None
        whole = f"{self.prefix}/" if self.prefix else ""
        number = 0
        try:
            unfinished = list(self.uploads.unfinished(f"{whole}{prefix}"))
        except StorageDenied:
            return None
        for found in unfinished:
            ours = prefix or whole or _ARCHIVE.fullmatch(found.key)
            if ours and (before is None or found.begun < before):
                self.uploads.abort(found)
                number += 1
        return number

    def _read(self, key: str, position: int) -> Iterator[bytes]:
        with self._sentences(key):
            try:
                if not position:
                    yield from obstore.get(self._reader, key).stream(min_chunk_size=CHUNK)
                elif (size := obstore.head(self._reader, key)["size"]) > position:
                    yield from self._rest(key, position, size)
            except FileNotFoundError:
                raise missing(key) from None

    def _rest(self, key: str, position: int, size: int) -> Iterator[bytes]:
        """Yield the bytes from there to the end, from servers that cannot begin there by passing over the others."""
        try:
            answer = obstore.get(self._reader, key, options={"range": (position, size)})
        except BaseError as error:
            if "non-partial response" not in str(error):
                raise
        else:
            yield from answer.stream(min_chunk_size=CHUNK)
            return
        for chunk in obstore.get(self._reader, key).stream(min_chunk_size=CHUNK):
            yield chunk[position:]
            position = max(0, position - len(chunk))

    def _all(self, folder: str) -> Listed:
        """Return everything below the folder, also what is not an object yet, sorted."""
        with self._sentences(""):
            pages = obstore.list(self._reader, folder or None, chunk_size=1000)
            return sorted((_stored(meta) for page in pages for meta in page), key=lambda each: each.key)

    @property
    def _attributes(self) -> dict[str, str]:
        return {"Storage-Class": self.storage_class} if self.storage_class else {}

    @contextlib.contextmanager
    def _sentences(self, key: str) -> Iterator[None]:
        """Turn what obstore says into what an administrator can act on, without addresses that carry a token."""
        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise taken(key) from None
        except (BaseError, FileNotFoundError, OSError, ValueError) as error:
            raise explained(str(error), key=key, secrets=self.secrets) from None


Listed = list[StoredObject]


def _begin(chunks: Iterator[bytes], most: int) -> tuple[bytes, bool]:
    """Take about ``most`` bytes from the stream; say whether that was all of it."""
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        if len(gathered) > most:
            return bytes(gathered), False
    return bytes(gathered), True


def part_size(expected_size: int | None) -> int:
    """Return how large the parts of an object of about that size have to be, in bytes."""
    if expected_size is None:
        return USUAL_PART
    needed = -(-expected_size // PARTS)
    return max(SMALLEST_PART, -(-needed // MEGABYTE) * MEGABYTE)


def _stored(meta: obstore.ObjectMeta) -> StoredObject:
    return StoredObject(key=meta["path"], size=meta["size"], modified=meta["last_modified"])

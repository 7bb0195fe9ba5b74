"""What a file is that somebody wants to have brought back: told by its content, never by its name."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from backports import zstd

from dbadmin.engines.postgresql.toc import TOC_FILE, Header, read_header
from dbadmin.exceptions import CorruptArchive, Refused, StorageError, ValidationFailed
from dbadmin.text import Text

CUSTOM, TAR, DIRECTORY, SQL, SQLITE = "custom", "tar", "directory", "sql", "sqlite"
POSTGRESQL = "postgresql"
HEAD = 1 << 16
CHUNK = 1 << 20
LEFT_FREE = 256 << 20  # bytes of the disk that unpacking never takes
_DUMP_MEMBER = re.compile(
    r"(?:toc\.dat|restore\.sql|[0-9]+\.dat|blob_[0-9]+\.dat|blobs(?:_[0-9]+)?\.toc)(?:\.(?:gz|zst|lz4))?$"
)
_DAMAGED = (zlib.error, gzip.BadGzipFile, zstd.ZstdError, EOFError, tarfile.TarError)
_COMMENTS = re.compile(rb"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/|\\restrict[^\n]*\n)+", re.DOTALL)
_STATEMENT = re.compile(
    rb"(?:set|select|create|alter|drop|insert|update|delete|copy|begin|start|do|with|comment|grant|revoke|truncate)\b",
    re.IGNORECASE,
)
_FROM = re.compile(rb"^-- Dumped from database version (\S+)", re.MULTILINE)
_BY = re.compile(rb"^-- Dumped by pg_dump version (\S+)", re.MULTILINE)

Opened: TypeAlias = Callable[[IO[bytes]], IO[bytes]]


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """A file that can be brought back. ``packed``: gzip, zstd or empty; ``in_tar``: a dump's folder in a tar file."""

    form: str
    engine: str
    packed: str = ""
    in_tar: bool = False
    database: str = ""
    server_version: str = ""
    client_version: str = ""

    def sentence(self) -> Text:
        """Say what it is."""
        what = {
            CUSTOM: Text("A dump of pg_dump in the custom format"),
            TAR: Text("A dump of pg_dump in the tar format"),
            DIRECTORY: Text("A dump of pg_dump in the directory format"),
            SQL: Text("A file of SQL statements"),
            SQLITE: Text("A SQLite database"),
        }[self.form]
        if not self.client_version:
            return (
                Text("{what}.", what=what)
                if not self.packed
                else Text("{what}, compressed with {packed}.", what=what, packed=self.packed)
            )
        return Text(
            "{what}, of PostgreSQL {server}, made with pg_dump {client}.",
            what=what,
            server=self.server_version or "?",
            client=self.client_version,
        )


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file being read. ``position`` says how many of its ``size`` bytes were read."""

    stream: IO[bytes]
    size: int
    position: Callable[[], int]


def recognise(path: Path) -> Recognised:
    """Return what the file or folder at ``path`` is; ``ValidationFailed`` says why it cannot be brought back."""
    with damage_in_a_sentence():
        if path.is_dir():
            return _recognise_folder(path)
        packed = packing(path)
        with opened(path) as source:
            head = source.stream.read(HEAD)
        return _recognise(head, path, packed)


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open a regular file for reading what it holds, decompressed when it is compressed."""
    with damage_in_a_sentence(), path.open("rb") as raw:
        stream = io.BufferedReader(_Guarded(_DECOMPRESS[packing(path)](raw)), CHUNK)
        yield Source(stream=stream, size=path.stat().st_size, position=raw.tell)


def unpack(path: Path, folder: Path, look: Callable[[int], None]) -> Path:
    """Write what a compressed file holds into ``folder`` and return where; ``look`` gets the bytes read so far.

    ``Refused`` when it would fill the disk.
    """
    target = folder / "content"
    with opened(path) as source:
        _copy(source.stream, target, lambda: look(source.position()))
    return target


def unpack_folder(path: Path, folder: Path, look: Callable[[int], None]) -> Path:
    """Write the files of the dump in a tar file into ``folder/dump``, whatever paths they have there."""
    dump = folder / "dump"
    dump.mkdir()
    with opened(path) as source, tarfile.open(fileobj=source.stream, mode="r|") as tar:
        for member in tar:
            name = member.name.rpartition("/")[2]
            if not member.isreg() or not _DUMP_MEMBER.match(name):
                continue
            content = tar.extractfile(member)
            assert content is not None
            if (dump / name).exists():
                raise ValidationFailed(
                    Text("The file holds more than one dump."), Text("Unpack it and import one of the dumps.")
                )
            _copy(content, dump / name, lambda: look(source.position()))
    return dump


@contextmanager
def damage_in_a_sentence() -> Iterator[None]:
    """Turn what reading a damaged file raises into a sentence."""
    try:
        yield
    except _DAMAGED as error:
        raise damaged(error) from error
    except OSError as error:
        raise StorageError(
            Text("The file cannot be read: {reason}.", reason=error.strerror or str(error)),
            Text("Check that it is there and that dbadmin may read it."),
        ) from error


def damaged(error: Exception) -> CorruptArchive:
    """Return the failure of a file whose compression is broken."""
    return CorruptArchive(
        Text("The file is damaged or was cut off: {reason}.", reason=str(error) or type(error).__name__),
        Text("Copy it again from where it comes from."),
    )


def packing(path: Path) -> str:
    """Return how a file is compressed: gzip, zstd or not at all (empty)."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] == b"\x1f\x8b":
        return "gzip"
    return "zstd" if magic == b"\x28\xb5\x2f\xfd" else ""


class _Guarded(io.RawIOBase):
    """A stream whose damage is told in a sentence, wherever it is read."""

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner = inner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            found = self._inner.read(len(buffer))
        except _DAMAGED as error:
            raise damaged(error) from error
        buffer[: len(found)] = found
        return len(found)


def _gunzipped(raw: IO[bytes]) -> IO[bytes]:
    return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]


def _unzstded(raw: IO[bytes]) -> IO[bytes]:
    return zstd.ZstdFile(raw)  # type: ignore[return-value]


_DECOMPRESS: dict[str, Opened] = {"": lambda raw: raw, "gzip": _gunzipped, "zstd": _unzstded}


def _recognise(head: bytes, path: Path, packed: str) -> Recognised:
    if not head:
        raise ValidationFailed(Text("The file is empty."), Text("Copy it again from where it comes from."))
    if head.startswith(b"PGDMP"):
        header = read_header(head)
        if header.form != CUSTOM:
            raise ValidationFailed(
                Text("This is only the table of contents of a dump in the directory format."),
                Text("Pack the whole folder with tar and import that, or import the folder where it lies."),
            )
        return _dump(header, packed)
    if head.startswith(b"SQLite format 3\0"):
        return Recognised(form=SQLITE, engine=SQLITE, packed=packed)
    if head[257:262] == b"ustar":
        return _recognise_tar(path, packed)
    _refuse_others(head)
    if not _is_sql(head):
        raise unknown()
    return Recognised(
        form=SQL, engine=POSTGRESQL, packed=packed, server_version=_said(_FROM, head), client_version=_said(_BY, head)
    )


def _dump(header: Header, packed: str = "", *, form: str = CUSTOM, in_tar: bool = False) -> Recognised:
    return Recognised(
        form=form,
        engine=POSTGRESQL,
        packed=packed,
        in_tar=in_tar,
        database=header.database,
        server_version=header.server_version.partition(" ")[0],
        client_version=header.client_version.partition(" ")[0],
    )


def _recognise_folder(path: Path) -> Recognised:
    toc = path / TOC_FILE
    if not toc.is_file() or toc.is_symlink():
        raise unknown()
    with toc.open("rb") as file:
        return _dump(read_header(file.read(HEAD)), form=DIRECTORY)


def _recognise_tar(path: Path, packed: str) -> Recognised:
    """pg_dump's own tar files have a script for psql; in packed folders there is none."""
    header, is_own = None, False
    with opened(path) as source, tarfile.open(fileobj=source.stream, mode="r|") as tar:
        for member in tar:
            is_own = is_own or member.name == "restore.sql"
            if member.isreg() and member.name.rpartition("/")[2] == TOC_FILE:
                content = tar.extractfile(member)
                assert content is not None
                header = read_header(content.read(HEAD))
    if header is None:
        raise ValidationFailed(
            Text("The tar file holds no dump of pg_dump."), Text("Unpack it and import the file that is meant.")
        )
    return _dump(header, packed, form=TAR if is_own else DIRECTORY, in_tar=not is_own)


def _refuse_others(head: bytes) -> None:
    start = head[:2000]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValidationFailed(
            Text("The file is text in UTF-16, as PowerShell writes what a program prints."),
            Text("Let pg_dump write the file itself: pg_dump --file=NAME."),
        )
    if start.startswith(b"PK\x03\x04"):
        raise ValidationFailed(Text("The file is a ZIP archive."), Text("Unpack it and import the file inside."))
    if b"PostgreSQL database cluster dump" in start:
        raise ValidationFailed(
            Text("The file holds a whole server: pg_dumpall wrote it."),
            Text("Import one database: dump it with pg_dump."),
        )
    if start.startswith((b"-- MySQL dump", b"-- MariaDB dump", b"/*M!")):
        raise ValidationFailed(Text("The file is a dump of MySQL or MariaDB."), Text("PostgreSQL cannot run it."))
    if _COMMENTS.sub(b"", start[:200]).upper().startswith((b"PRAGMA ", b"BEGIN TRANSACTION;")):
        raise ValidationFailed(
            Text("The file holds the SQL statements of a SQLite database."),
            Text("Make a database of it with “sqlite3 new.db < file”, and import that."),
        )


def _is_sql(head: bytes) -> bool:
    if b"\0" in head:
        return False
    match = _COMMENTS.match(head.removeprefix(b"\xef\xbb\xbf"))
    rest = head.removeprefix(b"\xef\xbb\xbf")[match.end() if match else 0 :]
    return bool(_STATEMENT.match(rest)) or (not rest and b"--" in head) or rest.startswith(b"\\")


def _said(pattern: re.Pattern[bytes], head: bytes) -> str:
    found = pattern.search(head[:4000])
    return found.group(1).decode(errors="replace")[:50] if found else ""


def unknown() -> ValidationFailed:
    """Return the refusal of what is nothing of this."""
    return ValidationFailed(
        Text("This is no database dump that dbadmin knows."),
        Text("It takes files of pg_dump (custom, tar, directory or plain), also with gzip or zstd, and SQLite files."),
    )


def _copy(stream: IO[bytes], target: Path, look: Callable[[], None]) -> None:
    since = LEFT_FREE
    with target.open("xb") as sink:
        os.fchmod(sink.fileno(), 0o600)
        while chunk := stream.read(CHUNK):
            if since >= LEFT_FREE // 8:
                require_room(target.parent)
                since = 0
            sink.write(chunk)
            since += len(chunk)
            look()


def require_room(folder: Path) -> None:
    """Refuse to go on when the disk of ``folder`` is nearly full, whatever a compressed file claims to hold."""
    if shutil.disk_usage(folder).free < LEFT_FREE:
        raise Refused(
            Text("Unpacking stopped: {folder} would be full.", folder=str(folder)),
            Text("Free some space. What was unpacked is removed."),
        )

"""The table of contents of a pg_dump directory, read exactly: names are never cut at their spaces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dbadmin.exceptions import CorruptArchive
from dbadmin.text import Text

TOC_FILE = "toc.dat"
TABLE_DATA = "TABLE DATA"
_OLDEST, _NEWEST = (1, 12), (1, 16)
_ACCESS_METHODS, _ALGORITHMS, _RELATION_KINDS = (1, 14), (1, 15), (1, 16)
# What a table of contents may hold that no one would believe: it is not one then.
_LONGEST = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An object of a dump. ``file``: where its rows are, without the ending of the compression; mostly empty.

    definition: the SQL that makes it. copy: the statement that its rows belong to.
    owner: a role; empty of what has none.
    """

    number: int
    kind: str
    schema: str
    name: str
    file: str
    needs: tuple[int, ...]
    definition: str = ""
    copy: str = ""
    owner: str = ""


def read_toc(folder: Path) -> tuple[Entry, ...]:
    """Return every object of the dump in ``folder``; ``CorruptArchive`` when that cannot be read."""
    try:
        return tuple(_Reader((folder / TOC_FILE).read_bytes()).entries())
    except (FileNotFoundError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise CorruptArchive(
            Text("The table of contents of the dump cannot be read: {reason}.", reason=str(error)),
            Text("Choose another backup; this one is damaged."),
        ) from error


@dataclass(frozen=True, kw_only=True)
class Header:
    """How a dump begins. ``form``: custom or tar, which folders call themselves too."""

    form: str
    database: str
    server_version: str
    client_version: str


def read_header(content: bytes) -> Header:
    """Return what a dump says of itself in its first bytes; ``CorruptArchive`` when that cannot be read."""
    try:
        return _Reader(content).header()
    except (ValueError, LookupError) as error:
        raise CorruptArchive(
            Text("The beginning of the dump cannot be read: {reason}.", reason=str(error)),
            Text("It was damaged or cut off, or made by a version of PostgreSQL newer than 18."),
        ) from error


class _Reader:
    """Reads numbers and strings as PostgreSQL's pg_backup_archiver writes them."""

    def __init__(self, content: bytes) -> None:
        if content[:5] != b"PGDMP":
            raise ValueError("it is none")
        self._content = content
        self._version = (content[5], content[6])
        self._width = content[8]
        self._at = 11  # after magic, version, widths of numbers and offsets, and format
        if not _OLDEST <= self._version <= _NEWEST:
            raise ValueError(f"unknown version {self._version[0]}.{self._version[1]}")

    def header(self) -> Header:
        form = {1: "custom", 3: "tar"}[self._content[10]]
        database, server, client = self._skip_header()
        return Header(form=form, database=database, server_version=server, client_version=client)

    def entries(self) -> list[Entry]:
        self._skip_header()
        return [self._entry() for _ in range(self._number())]

    def _skip_header(self) -> tuple[str, str, str]:
        if self._version >= _ALGORITHMS:
            self._at += 1
        else:
            self._number()
        for _ in range(7):  # when it was made
            self._number()
        return self._string(), self._string(), self._string()  # name of the database, versions of server and client

    def _entry(self) -> Entry:
        number = self._number()
        self._number()
        self._string()
        self._string()
        name, kind = self._string(), self._string()
        self._number()  # section
        definition = self._string()
        self._string()  # how to drop it
        copy = self._string()
        schema = self._string()
        self._string()  # tablespace
        if self._version >= _ACCESS_METHODS:
            self._string()
        if self._version >= _RELATION_KINDS:
            self._number()
        owner = self._string()
        self._string()  # once: with oids
        needs = tuple(self._needs())
        file = self._string()
        return Entry(
            number=number, kind=kind, schema=schema, name=name, file=file, needs=needs, definition=definition,
            copy=copy, owner=owner,
        )  # fmt: skip

    def _needs(self) -> list[int]:
        found = []
        while word := self._string():
            found.append(int(word))
        return found

    def _number(self) -> int:
        sign, raw = self._content[self._at], self._take(1 + self._width)[1:]
        value = int.from_bytes(raw, "little")
        return -value if sign else value

    def _string(self) -> str:
        length = self._number()
        return "" if length <= 0 else self._take(length).decode("utf-8", "surrogateescape")

    def _take(self, length: int) -> bytes:
        taken = self._content[self._at : self._at + length]
        if len(taken) != length or length > _LONGEST:
            raise ValueError("it ends too early")
        self._at += length
        return taken

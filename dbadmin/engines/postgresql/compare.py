"""Two pg_dump directories side by side: their tables of contents, and the rows as COPY wrote them."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from backports import zstd

from dbadmin.engines.comparing import (
    Changes,
    Compared,
    Layout,
    compare_definitions,
    compare_rows,
)
from dbadmin.engines.postgresql.content import LARGE_OBJECTS, content_of_large_objects, opened_rows
from dbadmin.engines.postgresql.deparsed import casts_inside
from dbadmin.engines.postgresql.dump import DUMP_FOLDER
from dbadmin.engines.postgresql.inventory import qualified
from dbadmin.engines.postgresql.toc import TABLE_DATA, Entry, read_toc
from dbadmin.exceptions import CorruptArchive
from dbadmin.progress import Progress
from dbadmin.text import Text

# What a table of contents holds besides definitions. A large object is content.
NO_DEFINITION = frozenset(
    {
        TABLE_DATA, "SEQUENCE SET", "BLOB", "BLOBS", "BLOB METADATA", "ENCODING", "STDSTRINGS", "SEARCHPATH",
        "DATABASE", "MATERIALIZED VIEW DATA", "STATISTICS DATA",
    }
)  # fmt: skip
# Those whose name in a table of contents is nothing but their name; they are named as in the facts.
RELATIONS = frozenset({"TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "INDEX"})
_NAME = r'(?:"(?:[^"]|"")+"|[^\s",().]+)'
_COPY = re.compile(rf"COPY {_NAME}\.{_NAME} \((.*)\) FROM stdin;", re.DOTALL)
_PRIMARY_KEY = re.compile(
    rf"ALTER TABLE (?:ONLY )?({_NAME})\.({_NAME})\s+ADD CONSTRAINT {_NAME} PRIMARY KEY \(([^()]*)\)"
)
_END = b"\\.\n"
_CHUNK = 1024 * 1024


def compare_dumps(left: Path, right: Path, *, content: bool, progress: Progress) -> Compared:
    """Compare the dumps in two spools: every definition, and with ``content`` every row."""
    progress.phase(Text("Comparing the schema"))
    entries = read_toc(left / DUMP_FOLDER), read_toc(right / DUMP_FOLDER)
    both = definitions(entries[0]), definitions(entries[1])
    objects = compare_definitions(*both) if all(both) else ()
    tables = _compare_tables((left, right), entries, progress) if content else {}
    return Compared(objects=objects, tables=tables)


def definitions(entries: tuple[Entry, ...]) -> dict[tuple[str, str], str]:
    """Return kind and name -> SQL, without owners; of several of one name all, sorted."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        if entry.kind not in NO_DEFINITION and entry.definition.strip():
            name = f"{entry.schema}.{entry.name}" if entry.schema else entry.name
            if entry.schema and entry.kind in RELATIONS:
                name = qualified(entry.schema, entry.name)
            found.setdefault((entry.kind.lower(), name), []).append(casts_inside(entry.definition.strip()))
    return {key: "\n".join(sorted(several)) for key, several in found.items()}


def primary_keys(entries: tuple[Entry, ...]) -> dict[str, tuple[str, ...]]:
    """Return qualified table -> columns of its primary key."""
    matches = (_PRIMARY_KEY.search(entry.definition) for entry in entries if entry.kind == "CONSTRAINT")
    return {
        qualified(_plain(match[1]), _plain(match[2])): tuple(map(_plain, re.findall(_NAME, match[3])))
        for match in matches
        if match
    }


def _compare_tables(
    spools: tuple[Path, Path], entries: tuple[tuple[Entry, ...], tuple[Entry, ...]], progress: Progress
) -> dict[str, Changes]:
    left, right = (_tables(some) for some in entries)
    keys = primary_keys(entries[1]) | primary_keys(entries[0])
    common = sorted(left.keys() & right.keys())
    progress.phase(Text("Comparing the rows"), total=len(common), unit="items")
    found = {}
    for done, name in enumerate(common):
        progress.update(done, current=name)
        found[name] = _compare_table(spools, (left[name], right[name]), keys.get(name, ()), progress)
    if (objects := _compare_large_objects(spools, progress)) is not None:
        found[LARGE_OBJECTS] = objects
    progress.update(len(common))
    return found


def _compare_table(
    spools: tuple[Path, Path], entries: tuple[Entry, Entry], key: tuple[str, ...], progress: Progress
) -> Changes:
    layouts = Layout(columns=_columns(entries[0]), split=_split), Layout(columns=_columns(entries[1]), split=_split)
    left, right = (_rows(spool, entry) for spool, entry in zip(spools, entries, strict=True))
    return compare_rows(left, right, layouts=layouts, key=key, look=progress.check)


def _compare_large_objects(spools: tuple[Path, Path], progress: Progress) -> Changes | None:
    left, right = (content_of_large_objects(spool, progress) for spool in spools)
    if not left and not right:
        return None
    return Changes(
        added=len(right.keys() - left.keys()),
        removed=len(left.keys() - right.keys()),
        changed=sum(left[name] != right[name] for name in left.keys() & right.keys()),
    )


def _tables(entries: tuple[Entry, ...]) -> dict[str, Entry]:
    return {qualified(entry.schema, entry.name): entry for entry in entries if entry.kind == TABLE_DATA and entry.file}


def _columns(entry: Entry) -> tuple[str, ...]:
    match = _COPY.match(entry.copy)
    return tuple(map(_plain, re.findall(_NAME, match[1]))) if match else ()


def _split(line: bytes) -> list[bytes]:
    """COPY escapes tabs inside of values."""
    return line.rstrip(b"\n").split(b"\t")


def _rows(spool: Path, entry: Entry) -> Iterator[bytes]:
    path, opened = opened_rows(spool / DUMP_FOLDER, entry)
    try:
        with opened as file:
            for line in io.BufferedReader(file, _CHUNK):
                if line == _END:
                    return
                yield line
    except (zstd.ZstdError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise CorruptArchive(
            Text("“{name}” of the dump cannot be decompressed: {reason}.", name=path.name, reason=str(error)),
            Text("Choose another backup; this one is damaged."),
        ) from error


def _plain(identifier: str) -> str:
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier

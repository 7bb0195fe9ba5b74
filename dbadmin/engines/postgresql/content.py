"""What a dump holds, byte by byte: one SHA-256 of each table's rows as COPY wrote them."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from backports import zstd

from dbadmin.beside import wait_for
from dbadmin.engines.postgresql.clients import parallel_jobs
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.copied import hash_large_objects, hash_rows
from dbadmin.engines.postgresql.dump import DUMP_FOLDER
from dbadmin.engines.postgresql.inventory import qualified
from dbadmin.engines.postgresql.toc import TABLE_DATA, Entry, read_toc
from dbadmin.exceptions import CorruptArchive
from dbadmin.progress import Progress
from dbadmin.text import Text

LARGE_OBJECTS = "(large objects)"
ENDINGS = ("", ".zst", ".gz")
# For larger pieces Python fetches memory from the system each time: decompressing and hashing took a fifth longer.
CHUNK = 128 * 1024


def content_of_dump(spool: Path, progress: Progress) -> dict[str, str]:
    """Return qualified table -> SHA-256 of its rows in ``spool/dump``, in constant memory.

    All large objects together are one entry. ``CorruptArchive`` when a file is missing or cannot be decompressed.
    """
    folder = spool / DUMP_FOLDER
    entries = [entry for entry in read_toc(folder) if entry.kind == TABLE_DATA and entry.file]
    tables = {qualified(entry.schema, entry.name): _file_of(folder, entry) for entry in entries}
    objects = {path.name.partition(".")[0]: path for path in sorted(folder.glob("blob_*.dat*"))}
    hashes = _hashed({**{f"t {name}": path for name, path in tables.items()}, **objects}, progress)
    found = {name: hashes[f"t {name}"] for name in tables}
    if objects:
        found[LARGE_OBJECTS] = _combined({name: hashes[name] for name in objects})
    return found


def content_of_large_objects(spool: Path, progress: Progress) -> dict[str, str]:
    """Return name of the file -> SHA-256 of each large object in ``spool/dump``."""
    files = sorted((spool / DUMP_FOLDER).glob("blob_*.dat*"))
    return _hashed({path.name.partition(".")[0]: path for path in files}, progress)


def opened_rows(folder: Path, entry: Entry) -> tuple[Path, zstd.ZstdFile | io.BufferedIOBase]:
    """Return the file that holds a table's rows, and what reads them out of it."""
    path = _file_of(folder, entry)
    return path, _opened(path)


def content_of_copy(
    target: PostgreSQLConnection,
    *,
    archive: Path,
    tables: tuple[str, ...],
    output: Mapping[str, str],
    progress: Progress,
) -> dict[str, str]:
    """Hash the rows of a restored copy, on a scratch server, like those of the dump in ``archive``.

    ``output``: the settings in which the original's rows were written. ``tables``: only these; all without.
    """
    folder = archive / DUMP_FOLDER
    entries = [entry for entry in read_toc(folder) if entry.kind == TABLE_DATA and entry.file]
    chosen = [entry for entry in entries if not tables or qualified(entry.schema, entry.name) in tables]
    chosen.sort(key=lambda entry: -_file_of(folder, entry).stat().st_size)
    progress.phase(Text("Reading the restored rows"))
    found = hash_rows(target, chosen, output=output, progress=progress)
    objects = {} if tables else hash_large_objects(target, progress)
    return found | ({LARGE_OBJECTS: _combined(objects)} if objects else {})


def _combined(objects: Mapping[str, str]) -> str:
    lines = "".join(f"{name} {objects[name]}\n" for name in sorted(objects))
    return hashlib.sha256(lines.encode()).hexdigest()


def _file_of(folder: Path, entry: Entry) -> Path:
    for ending in ENDINGS:
        if (path := folder / f"{entry.file}{ending}").is_file():
            return path
    raise CorruptArchive(
        Text("The rows of {table} are missing from the dump.", table=qualified(entry.schema, entry.name)),
        Text("Choose another backup."),
    )


def _hashed(files: dict[str, Path], progress: Progress) -> dict[str, str]:
    """Hash the largest first, several at a time: hashing and decompressing leave the interpreter free."""
    largest_first = sorted(files.items(), key=lambda item: -item[1].stat().st_size)
    with ThreadPoolExecutor(max_workers=parallel_jobs()) as pool:
        try:
            futures = {name: pool.submit(_hash, path) for name, path in largest_first}
            wait_for(futures.values(), progress)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return {name: future.result() for name, future in futures.items()}


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        for chunk in _chunks(path):
            digest.update(chunk)
    except (zstd.ZstdError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise CorruptArchive(
            Text("“{name}” of the dump cannot be decompressed: {reason}.", name=path.name, reason=str(error)),
            Text("Choose another backup; this one is damaged."),
        ) from error
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with _opened(path) as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _opened(path: Path) -> zstd.ZstdFile | io.BufferedIOBase:
    # Of an empty large object pg_dump writes an empty file, without a frame.
    if path.suffix == ".zst" and path.stat().st_size:
        return zstd.open(path, "rb")
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")

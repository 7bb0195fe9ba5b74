"""What a dump holds, byte by byte: one SHA-256 of each table's rows as COPY wrote them."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from backports import zstd

from dbadmin.engines.postgresql.clients import ClientSet, dump_client, parallel_jobs, restore_client
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.dump import DUMP_FOLDER, pinned
from dbadmin.engines.postgresql.inventory import qualified
from dbadmin.engines.postgresql.sessions import connect
from dbadmin.engines.postgresql.toc import TABLE_DATA, Entry, read_toc
from dbadmin.exceptions import CorruptArchive, Refused, ToolMissing
from dbadmin.progress import Progress
from dbadmin.text import Text

LARGE_OBJECTS = "(large objects)"
ENDINGS = ("", ".zst", ".gz")
CHUNK = 1024 * 1024
POLL_SECONDS = 0.2


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
        lines = "".join(f"{name} {hashes[name]}\n" for name in sorted(objects))
        found[LARGE_OBJECTS] = hashlib.sha256(lines.encode()).hexdigest()
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
    spool: Path,
    client_version: str,
    tables: tuple[str, ...],
    output: Mapping[str, str],
    progress: Progress,
) -> dict[str, str]:
    """Dump the rows of a restored copy into ``spool``, an empty folder, and hash them like the original's.

    ``output``: the settings in which the original's rows were written. ``tables``: only these; all without.
    """
    client = _client(target, client_version)
    argv: tuple[str, ...] = (
        client.program("pg_dump"),
        "--format=directory",
        "--data-only",
        f"--file={spool / DUMP_FOLDER}",
        f"--jobs={parallel_jobs()}",
        f"--compress={client.compression}",
        "--no-password",
        "--no-sync",
        *(f"--table={name}" for name in tables),
    )
    progress.phase(Text("Reading the restored rows"))
    pinned(target, argv, output=output).run(progress=progress)
    progress.phase(Text("Comparing every byte"))
    return content_of_dump(spool, progress)


def _client(target: PostgreSQLConnection, client_version: str) -> ClientSet:
    """The client that made the original; for a newer server the one that fits it, which writes rows alike."""
    with connect(target) as session:
        server = session.info.server_version // 10000
    try:
        client = restore_client(server, client_version)
    except (Refused, ToolMissing):
        return dump_client(server)
    return client if client.major >= server else dump_client(server)


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
            _wait(list(futures.values()), progress)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return {name: future.result() for name, future in futures.items()}


def _wait(futures: list[Future[str]], progress: Progress) -> None:
    while wait(futures, timeout=POLL_SECONDS).not_done:
        progress.check()


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
    if path.suffix == ".zst":
        return zstd.open(path, "rb")
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")

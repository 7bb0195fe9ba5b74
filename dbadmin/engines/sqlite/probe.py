"""Reaching a SQLite file step by step, so that the step that fails has a name."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import apsw

from dbadmin.engines.base import ServerInfo
from dbadmin.engines.paths import network_file_system
from dbadmin.engines.sqlite.connection import (
    MAGIC,
    header,
    journal_mode,
    not_sqlite,
    read,
    sentences,
    unreadable,
    written_by,
)
from dbadmin.engines.sqlite.measure import tables
from dbadmin.exceptions import ConnectionFailed, DbadminError, ValidationFailed
from dbadmin.probing import Stage
from dbadmin.text import Text

_NOTHING = Text("")

Step = Callable[[Path, dict[str, str]], tuple[Text, Text]]


def probe(path: Path) -> ServerInfo:
    """Try folder, file, opening and tables in this order, and stop at the first that fails."""
    stages: list[Stage] = []
    details: dict[str, str] = {"sqlite": apsw.sqlite_lib_version()}
    for name, step in _STEPS:
        stages.append(_tried(name, step, path, details))
        if not stages[-1].ok:
            break
    return ServerInfo(stages=tuple(stages), version=details.pop("written_by", ""), details=details)


def require_database(path: Path) -> None:
    """Raise the sentence of the first step that fails; ``ValidationFailed`` where trying again cannot help."""
    for _name, step in _STEPS:
        step(path, {})


def _tried(name: Text, step: Step, path: Path, details: dict[str, str]) -> Stage:
    began = time.perf_counter()
    try:
        message, hint = step(path, details)
        ok = True
    except DbadminError as error:
        message, hint, ok = error.message, error.hint, False
    spent = (time.perf_counter() - began) * 1000
    return Stage(name=name, ok=ok, milliseconds=round(spent, 2), message=message, hint=hint)


def _folder(path: Path, details: dict[str, str]) -> tuple[Text, Text]:
    folder = path.parent
    with sentences(folder):
        try:
            os.stat(path)
        except FileNotFoundError:
            if not folder.is_dir():
                raise ConnectionFailed(
                    Text("There is no folder “{folder}”.", folder=str(folder)),
                    Text("Check the path, and whether the disk it is on is mounted."),
                    stage="folder",
                ) from None
        except PermissionError as error:
            raise unreadable(folder, error) from error
    if kind := network_file_system(folder):
        details["file_system"] = kind
        return (
            Text("“{folder}” is on a network file system ({kind}).", folder=str(folder), kind=kind),
            Text("SQLite's locks are not safe there: back up while the application writes nothing."),
        )
    return _NOTHING, _NOTHING


def _file(path: Path, details: dict[str, str]) -> tuple[Text, Text]:
    with sentences(path):
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise ValidationFailed(
                Text("“{path}” is not a regular file.", path=str(path)),
                Text("Name the database file itself, not its folder."),
            )
        head = header(path)
    if not info.st_size:
        raise ValidationFailed(
            Text("“{path}” is empty (0 bytes).", path=str(path)),
            Text("SQLite takes an empty file for a good database without tables; look where the real one is."),
        )
    if not head.startswith(MAGIC):
        raise not_sqlite(path)
    details |= {"size_bytes": str(info.st_size), "written_by": written_by(head)}
    return _NOTHING, _NOTHING


def _open(path: Path, details: dict[str, str]) -> tuple[Text, Text]:
    def ask(db: apsw.Connection) -> Mapping[str, str]:
        return {name: str(db.pragma(name)) for name in ("journal_mode", "page_size", "encoding")}

    details |= read(path, ask)
    details["journal_mode"] = journal_mode(header(path), details["journal_mode"])
    return _NOTHING, _NOTHING


def _tables(path: Path, details: dict[str, str]) -> tuple[Text, Text]:
    count = read(path, lambda db: len(tables(db, "table", "virtual")))
    if not count:
        raise ValidationFailed(
            Text("“{path}” has no table.", path=str(path)),
            Text("Check the path: a program that was started in another folder may have made an empty database."),
        )
    details["tables"] = str(count)
    return _NOTHING, _NOTHING


_STEPS: tuple[tuple[Text, Step], ...] = (
    (Text("Folder"), _folder),
    (Text("File"), _file),
    (Text("Open and lock"), _open),
    (Text("Tables"), _tables),
)

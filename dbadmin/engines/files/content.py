"""Reading a file that somebody may be writing, and judging its JSON."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from dbadmin.engines.base import HistoryRow, ToolHistory
from dbadmin.engines.files.selection import Selected, explained, require_regular, sentences
from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text

CHUNK = 1024 * 1024
ATTEMPTS = 6
WAIT_SECONDS = 0.2
VERSION_FILE = "version.json"


class BrokenJSON(ValidationFailed):
    """A JSON file that does not parse; line and column begin with 1."""

    def __init__(self, name: str, line: int, column: int, reason: str) -> None:
        super().__init__(
            Text(
                "“{name}” is not valid JSON: line {line}, column {column}: {reason}.",
                name=name,
                line=line,
                column=column,
                reason=reason,
            ),
            Text("Correct the file, or put its last good backup back."),
        )
        self.line, self.column, self.reason = line, column, reason


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file held: the hash of its bytes, its size, its top-level entries and what is odd about it.

    ``document`` is kept of the version file only, so that a large set takes no memory.
    """

    sha256: str
    size: int
    entries: int = 0
    document: Any = None
    remarks: tuple[Text, ...] = ()


def is_json(name: str) -> bool:
    """Say whether a file has to be JSON, by its name."""
    return name.lower().endswith(".json")


def read_content(selected: Selected, root: Path, target: Path | None, look: Callable[[], None]) -> Content:
    """Read a file so that what is returned, and what is in ``target``, was the file at one moment.

    A file that changes meanwhile is read again, and so is JSON that does not parse, since its program may be in
    the middle of writing it; after about a second either is ``ValidationFailed``. ``look`` may raise to end it.
    """
    for attempt in range(ATTEMPTS):
        try:
            if (content := _read_once(selected, root, target, look)) is not None:
                return content
        except BrokenJSON:
            if attempt == ATTEMPTS - 1:
                raise
        time.sleep(WAIT_SECONDS)
    raise ValidationFailed(
        Text("“{name}” changed each time it was read.", name=selected.name),
        Text("Back up while its program writes less, or leave it out of the patterns."),
    )


def _read_once(selected: Selected, root: Path, target: Path | None, look: Callable[[], None]) -> Content | None:
    """Read twice and compare, because the time of a file is too coarse to tell two quick changes apart."""
    before = require_regular(selected, root)
    first, size, raw = _copied(selected, target, look)
    second = _hashed(selected, look)
    with sentences(selected.path):
        after = selected.path.stat()
    same = (before.st_ino, before.st_mtime_ns, before.st_size) == (after.st_ino, after.st_mtime_ns, after.st_size)
    if not same or first != second or size != after.st_size:
        return None
    if raw is None:
        return Content(sha256=first, size=size)
    document, remarks = parse(selected.name, raw)
    entries = len(document) if isinstance(document, (dict, list)) else 0
    kept = document if PurePosixPath(selected.name).name == VERSION_FILE else None
    return Content(sha256=first, size=size, entries=entries, document=kept, remarks=remarks)


def _copied(selected: Selected, target: Path | None, look: Callable[[], None]) -> tuple[str, int, bytes | None]:
    digest, size, kept = hashlib.sha256(), 0, bytearray()
    keep = is_json(selected.name)
    with _opened(selected.path) as source, open(target or os.devnull, "wb") as sink:
        while chunk := source.read(CHUNK):
            look()
            digest.update(chunk)
            size += len(chunk)
            if keep:
                kept += chunk
            try:
                sink.write(chunk)
                sink.flush()
            except OSError as error:
                raise explained(target or selected.path, error) from error
    return digest.hexdigest(), size, bytes(kept) if keep else None


def _hashed(selected: Selected, look: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with _opened(selected.path) as source:
        while chunk := source.read(CHUNK):
            look()
            digest.update(chunk)
    return digest.hexdigest()


def _opened(path: Path) -> BinaryIO:
    with sentences(path):
        # A pipe that took the file's place meanwhile must not make us wait for ever.
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")


def parse(name: str, raw: bytes) -> tuple[Any, tuple[Text, ...]]:
    """Parse strict JSON; duplicate keys, NaN and a byte order mark are remarks, ``BrokenJSON`` is the first error."""
    remarks: list[Text] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(found)
        if len(document) < len(found):
            counts = Counter(key for key, _value in found)
            twice = counts.most_common(1)[0][0]
            remarks.append(Text("“{name}” has the key “{key}” twice; programs see only one.", name=name, key=twice))
        return document

    def constant(word: str) -> float:
        remarks.append(Text("“{name}” holds {word}, which is not JSON; some programs refuse it.", name=name, word=word))
        return float(word)

    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
        remarks.append(Text("“{name}” begins with a byte order mark, which some programs refuse.", name=name))
    text = _text(name, raw)
    try:
        document = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise BrokenJSON(name, error.lineno, error.colno, _reason(error.msg)) from error
    except RecursionError as error:
        raise BrokenJSON(name, 1, 1, "nested too deeply") from error
    except ValueError as error:  # a number with more digits than Python reads
        match = re.search(r"\d{4300,}", text)
        line, column = _place(text[: match.start() if match else 0])
        raise BrokenJSON(name, line, column, "a number has too many digits") from error
    return document, tuple(remarks)


def versions(contents: Mapping[str, Content]) -> tuple[ToolHistory, ...]:
    """Read a version file: ``{"version": "1.2.0"}``, and where COMET likes ``"applied"`` with those before it."""
    for name, content in contents.items():
        if PurePosixPath(name).name != VERSION_FILE or not isinstance(content.document, dict):
            continue
        version = content.document.get("version")
        if isinstance(version, (str, int, float)) and str(version):
            applied = content.document.get("applied")
            earlier = [str(each) for each in applied] if isinstance(applied, list) else []
            revisions = dict.fromkeys([*(each for each in earlier if each != str(version)), str(version)])
            rows = tuple(HistoryRow(revision=revision) for revision in revisions)
            return (ToolHistory(tool=VERSION_FILE, rows=rows, heads=(str(version),)),)
    return ()


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _place(raw[: error.start].decode("utf-8"))
        raise BrokenJSON(name, line, column, "not UTF-8") from error


def _place(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _reason(message: str) -> str:
    return message[:1].lower() + message[1:]

"""Two sets of files side by side: JSON key by key, everything else by its bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dbadmin.engines.comparing import ADDED, CHANGED, REMOVED, SAMPLED, Changes, Compared, RowChange
from dbadmin.engines.files.content import is_json, parse
from dbadmin.exceptions import ValidationFailed
from dbadmin.process import MASK
from dbadmin.progress import Progress
from dbadmin.text import Text

LONGEST_VALUE = 120
LARGEST = 64 * 1024 * 1024
_SENSITIVE = re.compile(
    r"pass(word|wd|phrase)?|secret|token|api_?-?key|private_?-?key|credential|authorization|cookie|session|webhook|dsn",
    re.IGNORECASE,
)


def compare_files(left: Path, right: Path, progress: Progress) -> Compared:
    """Compare every file that both folders have."""
    common = sorted(_names(left) & _names(right))
    progress.phase(Text("Comparing every byte"), total=len(common), unit="items")
    found = {}
    for done, name in enumerate(common):
        progress.check()
        progress.update(done, current=name)
        found[name] = _compare_file(name, left / name, right / name)
    progress.update(len(common))
    return Compared(tables=found)


def differences(left: Any, right: Any, path: str = "", *, secret: bool = False) -> Iterator[RowChange]:
    """Yield every key that differs, by its path, arrays by index. Values under sensitive names are masked."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            inner, hidden = _joined(path, key), secret or bool(_SENSITIVE.search(key))
            yield from _entry(key in left, key in right, left.get(key), right.get(key), path=inner, secret=hidden)
    elif isinstance(left, list) and isinstance(right, list):
        for index in range(max(len(left), len(right))):
            here, there = index < len(left), index < len(right)
            values = left[index] if here else None, right[index] if there else None
            yield from _entry(here, there, *values, path=f"{path}[{index}]", secret=secret)
    elif not _same(left, right):
        yield RowChange(state=CHANGED, key=path or "$", left=_shown(left, secret), right=_shown(right, secret))


def _entry(here: bool, there: bool, left: Any, right: Any, *, path: str, secret: bool) -> Iterator[RowChange]:
    if here and there:
        yield from differences(left, right, path, secret=secret)
    elif here:
        yield RowChange(state=REMOVED, key=path, left=_shown(left, secret))
    else:
        yield RowChange(state=ADDED, key=path, right=_shown(right, secret))


def _compare_file(name: str, left: Path, right: Path) -> Changes:
    sizes = left.stat().st_size, right.stat().st_size
    if sizes[0] == sizes[1] and _same_bytes(left, right):
        return Changes()
    if is_json(name) and max(sizes) <= LARGEST:
        try:
            return _counted(differences(parse(name, left.read_bytes())[0], parse(name, right.read_bytes())[0]))
        except (ValidationFailed, RecursionError):  # what does not parse is compared like any other file
            pass
    sample = RowChange(state=CHANGED, key="", left=f"{sizes[0]} B", right=f"{sizes[1]} B")
    return Changes(changed=1, samples=(sample,))


def _counted(changes: Iterator[RowChange]) -> Changes:
    counts, samples = dict.fromkeys((ADDED, REMOVED, CHANGED), 0), []
    for change in changes:
        counts[change.state] += 1
        if counts[change.state] <= SAMPLED:
            samples.append(change)
    if not samples:  # other spaces, another order of keys: a program reads the same
        return Changes(changed=1, samples=(RowChange(state=CHANGED, key="(formatting)"),))
    return Changes(samples=tuple(samples), added=counts[ADDED], removed=counts[REMOVED], changed=counts[CHANGED])


def _same(left: Any, right: Any) -> bool:
    """1, 1.0 and true are three values; NaN is the same as NaN."""
    return type(left) is type(right) and (left == right or (left != left and right != right))


def _shown(value: Any, secret: bool) -> str:
    if secret and value is not None:
        return MASK
    text = json.dumps(_masked(value), ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: MASK if _SENSITIVE.search(key) else _masked(inner) for key, inner in value.items()}
    return [_masked(inner) for inner in value] if isinstance(value, list) else value


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _same_bytes(left: Path, right: Path) -> bool:
    with left.open("rb") as one, right.open("rb") as other:
        while chunk := one.read(1024 * 1024):
            if chunk != other.read(len(chunk)):
                return False
    return True


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

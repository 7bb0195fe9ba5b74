"""How two dumps differ: objects of the schema with a unified diff, and rows with their keys."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import Any

from dbadmin.text import Text

ADDED, REMOVED, CHANGED = "added", "removed", "changed"
SAMPLED = 20
LONGEST_DIFF = 20_000
LONGEST_KEY = 120
# Rows that stand elsewhere in the other dump wait in memory for their counterpart; so much of them may.
WAITING_BYTES = 64 * 1024 * 1024
_ROW_OVERHEAD = 200
_ROWS_BETWEEN_LOOKS = 4096


@dataclass(frozen=True, kw_only=True)
class ObjectChange:
    """An object of the schema that is only right (added), only left (removed) or defined otherwise (changed)."""

    kind: str
    name: str
    state: str
    diff: str


@dataclass(frozen=True, kw_only=True)
class RowChange:
    """A row, or a key of a JSON document, that differs. ``left`` and ``right`` are its value, where that is shown;

    ``columns``: which differ of a changed row.
    """

    state: str
    key: str
    left: str = ""
    right: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Changes:
    """How the content of one table or file differs. Counts are exact; ``samples`` holds at most 20 of each state.

    ``unknown`` says why it was not compared; then all counts are zero and mean nothing.
    """

    added: int = 0
    removed: int = 0
    changed: int = 0
    samples: tuple[RowChange, ...] = ()
    unknown: Text = field(default_factory=lambda: Text(""))

    @property
    def total(self) -> int:
        """All differences."""
        return self.added + self.removed + self.changed

    def to_json(self) -> dict[str, Any]:
        """Return JSON values only."""
        return asdict(self) | {
            "samples": [asdict(sample) | {"columns": list(sample.columns)} for sample in self.samples],
            "unknown": self.unknown.to_json() if self.unknown else None,
        }


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What an engine found in two dumps. ``tables``: what both have, by its name in the facts."""

    objects: tuple[ObjectChange, ...] = ()
    tables: Mapping[str, Changes] = field(default_factory=dict)
    remarks: tuple[Text, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the fields of an encoded row are, in order."""

    columns: tuple[str, ...]
    split: Callable[[bytes], list[bytes]]


Definitions = Mapping[tuple[str, str], str]


def compare_definitions(left: Definitions, right: Definitions) -> tuple[ObjectChange, ...]:
    """Compare kind and name -> definition, object by object."""
    changes = []
    for kind, name in sorted(left.keys() | right.keys()):
        before, after = left.get((kind, name)), right.get((kind, name))
        if before != after:
            state = ADDED if before is None else REMOVED if after is None else CHANGED
            changes.append(ObjectChange(kind=kind, name=name, state=state, diff=unified(before or "", after or "")))
    return tuple(changes)


def unified(before: str, after: str) -> str:
    """Return a unified diff without its header; a very long one is cut."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3)
    diff = "\n".join(line for number, line in enumerate(lines) if number > 1)
    return diff if len(diff) <= LONGEST_DIFF else diff[:LONGEST_DIFF] + "\n…"


def compare_rows(
    left: Iterable[bytes],
    right: Iterable[bytes],
    *,
    layouts: tuple[Layout, Layout],
    key: Sequence[str],
    look: Callable[[], None],
) -> Changes:
    """Compare two streams of encoded rows by ``key`` (columns; without one, whole rows count), whatever their order.

    Only columns that both have are compared. Memory is bounded: too many rows that stand elsewhere are ``unknown``.
    """
    matching = _Matching(layouts, tuple(key))
    for number, (before, after) in enumerate(zip_longest(left, right)):
        if number % _ROWS_BETWEEN_LOOKS == 0:
            look()
        if before == after and matching.same_layout:
            continue
        if not matching.take(before, after):
            return Changes(unknown=Text("Too many rows differ or stand in another order to be told apart here."))
    return matching.result()


class _Matching:
    """Rows that have not met their counterpart yet, and what came of those that have."""

    def __init__(self, layouts: tuple[Layout, Layout], key: tuple[str, ...]) -> None:
        self.same_layout = layouts[0].columns == layouts[1].columns
        common = tuple(column for column in layouts[0].columns if column in layouts[1].columns)
        self._columns = common
        self._key = key if key and set(key) <= set(common) else ()
        self._split = [layout.split for layout in layouts]
        self._places = [[layout.columns.index(column) for column in common] for layout in layouts]
        self._key_places = [common.index(column) for column in self._key]
        self._waiting: tuple[dict[bytes, list[bytes]], dict[bytes, list[bytes]]] = ({}, {})
        self._alone = [0, 0]
        self._bytes = 0
        self._changed = 0
        self._samples: list[RowChange] = []

    def take(self, before: bytes | None, after: bytes | None) -> bool:
        """Take a row of each side; False when too many wait."""
        if before is not None:
            self._arrive(0, before, may_come=after is not None)
        if after is not None:
            self._arrive(1, after, may_come=before is not None)
        return self._bytes <= WAITING_BYTES

    def result(self) -> Changes:
        removed, added = (sum(map(len, side.values())) for side in self._waiting)
        return Changes(
            added=added + self._alone[1],
            removed=removed + self._alone[0],
            changed=self._changed,
            samples=(*self._left_over(0, REMOVED), *self._left_over(1, ADDED), *self._samples),
        )

    def _arrive(self, side: int, line: bytes, *, may_come: bool) -> None:
        """``may_come``: the other side has more rows; when it has none, a row without counterpart need not wait."""
        fields = self._fields(side, line)
        row = b"\t".join(fields)
        key = b"\t".join(fields[place] for place in self._key_places) if self._key else row
        other = self._waiting[1 - side]
        if counterparts := other.get(key):
            counterpart = counterparts.pop()
            if not counterparts:
                del other[key]
            self._bytes -= len(counterpart) + len(key) + _ROW_OVERHEAD
            if counterpart != row:
                self._note_changed(fields, counterpart.split(b"\t"))
            return
        if not may_come and len(self._waiting[side]) >= SAMPLED:
            self._alone[side] += 1
            return
        self._waiting[side].setdefault(key, []).append(row)
        self._bytes += len(row) + len(key) + _ROW_OVERHEAD

    def _fields(self, side: int, line: bytes) -> list[bytes]:
        fields = self._split[side](line)
        return fields if self.same_layout else [fields[place] for place in self._places[side]]

    def _note_changed(self, fields: list[bytes], others: list[bytes]) -> None:
        self._changed += 1
        if self._changed <= SAMPLED:
            columns = tuple(name for name, a, b in zip(self._columns, fields, others, strict=True) if a != b)
            self._samples.append(RowChange(state=CHANGED, key=self._shown(fields), columns=columns))

    def _left_over(self, side: int, state: str) -> Iterable[RowChange]:
        rows = (row for rows in self._waiting[side].values() for row in rows)
        for _number, row in zip(range(SAMPLED), rows, strict=False):
            yield RowChange(state=state, key=self._shown(row.split(b"\t")))

    def _shown(self, fields: list[bytes]) -> str:
        """Of a row without a key nothing is shown: its values are none of the reader's business."""
        named = (f"{self._columns[at]}={fields[at].decode('utf-8', 'replace')}" for at in self._key_places)
        return ", ".join(named)[:LONGEST_KEY].replace("\0", "�")

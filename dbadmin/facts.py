"""What was true of a database at one moment, so that a restored copy can be compared with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dbadmin.text import Text


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One fact that is not equal: what it is about, what was expected and what was found."""

    subject: str
    expected: str
    found: str

    def as_text(self) -> Text:
        """Return the difference as a sentence."""
        return Text("{subject}: expected {expected}, found {found}", **asdict(self))


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Measured inside one snapshot. All counts are exact; what could not be measured is in ``missing``.

    tables: qualified name -> rows (of a file set: path -> top-level entries).
    sequences: qualified name -> last value, or None where it was never used.
    objects: kind (tables, indexes, views, ...) -> how many.
    schema_fingerprint: equal for equal schemas; empty when not measured.
    schema_head: migration tool -> applied heads, sorted.
    checksums: name -> SHA-256, where content is small enough to be hashed (files).
    """

    tables: Mapping[str, int] = field(default_factory=dict)
    sequences: Mapping[str, int | None] = field(default_factory=dict)
    objects: Mapping[str, int] = field(default_factory=dict)
    schema_fingerprint: str = ""
    schema_head: Mapping[str, list[str]] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """All rows of all tables."""
        return sum(self.tables.values())

    def to_json(self) -> dict[str, Any]:
        """Return what ``from_json`` takes."""
        return asdict(self) | {"missing": list(self.missing)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Facts:
        """Rebuild facts from a manifest; unknown keys of later versions are ignored."""
        known = {key: stored[key] for key in cls.__dataclass_fields__ if key in stored}
        return cls(**known | {"missing": tuple(stored.get("missing", ()))})

    def differences(self, found: Facts) -> tuple[Difference, ...]:
        """List every fact of these that ``found`` does not have equally; what neither measured is left out."""
        return tuple(self._differences(found))

    def _differences(self, found: Facts) -> Iterator[Difference]:
        for group in ("tables", "sequences", "objects", "checksums"):
            mine: Mapping[str, Any] = getattr(self, group)
            theirs: Mapping[str, Any] = getattr(found, group)
            for name in sorted(mine.keys() | theirs.keys()):
                if mine.get(name) != theirs.get(name) or (name in mine) != (name in theirs):
                    yield Difference(subject=name, expected=_shown(mine, name), found=_shown(theirs, name))
        if self.schema_fingerprint and self.schema_fingerprint != found.schema_fingerprint:
            yield Difference(
                subject="schema", expected=self.schema_fingerprint[:12], found=found.schema_fingerprint[:12]
            )


def _shown(facts: Mapping[str, Any], name: str) -> str:
    return str(facts[name]) if name in facts else "–"

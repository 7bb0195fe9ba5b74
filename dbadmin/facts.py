"""What was true of a database at one moment, so that a restored copy can be compared with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dbadmin.text import Text

NOT_MEASURED = "not measured"


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """How much to measure. ``hashes``: of every row, too. ``seconds``: after these no row is read; 0 is no limit."""

    hashes: bool = False
    seconds: float = 0


COUNTS = Measuring()


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
    hashes: name -> sum of the hashes of all rows, in decimal; equal for equal rows in any order, on any version.
    missing: names of tables whose rows, or only their hashes when the rows are there, were not measured.
    reasons: name in ``missing`` -> the stored sentence that says why.
    """

    tables: Mapping[str, int] = field(default_factory=dict)
    sequences: Mapping[str, int | None] = field(default_factory=dict)
    objects: Mapping[str, int] = field(default_factory=dict)
    schema_fingerprint: str = ""
    schema_head: Mapping[str, list[str]] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    reasons: Mapping[str, Any] = field(default_factory=dict)

    @property
    def measuring(self) -> Measuring:
        """How a copy has to be measured to be compared with these: without a limit."""
        return Measuring(hashes=bool(self.hashes))

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Names of tables of which not even the number of rows is known."""
        return tuple(name for name in self.missing if name not in self.tables)

    @property
    def unmeasured(self) -> tuple[Text, ...]:
        """Say of everything that was not measured why."""
        return tuple(self._unmeasured(name) for name in self.missing)

    def _unmeasured(self, name: str) -> Text:
        reason = Text.from_json(self.reasons.get(name)) or Text("They could not be read.")
        if name in self.tables:
            return Text("The rows of {name} were counted, not hashed: {reason}", name=name, reason=reason)
        return Text("The rows of {name} were not measured: {reason}", name=name, reason=reason)

    @property
    def head(self) -> str:
        """The schema head in one line, such as ``alembic:c47d9be1863f``; at most 200 characters."""
        heads = (f"{tool}:{','.join(heads)}" for tool, heads in sorted(self.schema_head.items()) if heads)
        return " ".join(heads)[:200]

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
        """List every fact of these that ``found`` does not have equally.

        What these did not measure is left out: ask ``uncounted``. Hashes are compared where both have them.
        """
        return tuple(self._differences(found))

    def unknowns(self) -> tuple[Difference, ...]:
        """List the tables whose rows were not measured, so that nobody takes a copy's for equal."""
        return tuple(Difference(subject=name, expected=NOT_MEASURED, found="–") for name in self.uncounted)

    def _differences(self, found: Facts) -> Iterator[Difference]:
        for group in ("tables", "sequences", "objects", "checksums"):
            mine: Mapping[str, Any] = getattr(self, group)
            theirs: Mapping[str, Any] = getattr(found, group)
            unknown = self.uncounted if group == "tables" else ()
            for name in sorted((mine.keys() | theirs.keys()).difference(unknown)):
                if mine.get(name) != theirs.get(name) or (name in mine) != (name in theirs):
                    yield Difference(subject=name, expected=_shown(mine, name), found=_shown(theirs, name))
        for name in sorted(self.hashes.keys() & found.hashes.keys()):
            if self.hashes[name] != found.hashes[name] and self.tables.get(name) == found.tables.get(name):
                yield Difference(subject=name, expected=f"hash {self.hashes[name]}", found=f"hash {found.hashes[name]}")
        if self.schema_fingerprint and self.schema_fingerprint != found.schema_fingerprint:
            yield Difference(
                subject="schema", expected=self.schema_fingerprint[:12], found=found.schema_fingerprint[:12]
            )


def _shown(facts: Mapping[str, Any], name: str) -> str:
    return str(facts[name]) if name in facts else "–"

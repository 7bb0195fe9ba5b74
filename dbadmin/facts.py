"""What was true of a database at one moment, so that a restored copy can be compared with it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dbadmin.text import Text, verbatim

NOT_MEASURED = "not measured"
THERE, MISSING = "there", "missing"
# Of a kind that has more objects only their number is known: a manifest has to stay small.
MOST_NAMES = 2000
KINDS = {
    "schemas": Text("Schema {name}"),
    "tables": Text("Table {name}"),
    "foreign_tables": Text("Foreign table {name}"),
    "views": Text("View {name}"),
    "materialized_views": Text("Materialised view {name}"),
    "sequences": Text("Sequence {name}"),
    "indexes": Text("Index {name}"),
    "functions": Text("Function {name}"),
    "types": Text("Type {name}"),
    "triggers": Text("Trigger {name}"),
    "constraints": Text("Constraint {name}"),
    "policies": Text("Policy {name}"),
    "extensions": Text("Extension {name}"),
}
NUMBERS_OF = {
    "schemas": Text("Schemas"),
    "tables": Text("Tables"),
    "foreign_tables": Text("Foreign tables"),
    "views": Text("Views"),
    "materialized_views": Text("Materialised views"),
    "sequences": Text("Sequences"),
    "indexes": Text("Indexes"),
    "functions": Text("Functions"),
    "types": Text("Types"),
    "triggers": Text("Triggers"),
    "constraints": Text("Constraints"),
    "policies": Text("Policies"),
    "extensions": Text("Extensions"),
    "large_objects": Text("Large objects"),
    "files": Text("Files"),
}
# What is missing of these is told by its rows or its value.
WITH_ROWS = ("tables", "materialized_views", "sequences")


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """How much to measure. ``hashes``: of every row, too. ``seconds``: after these no row is read; 0 is no limit."""

    hashes: bool = False
    seconds: float = 0


COUNTS = Measuring()


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One fact that is not equal: what it is about, what was expected and what was found.

    kind: one of ``KINDS`` where an object of that name is missing or too many, else empty.
    """

    subject: str
    expected: str
    found: str
    kind: str = ""

    @property
    def label(self) -> Text:
        """What it is about."""
        return Text(KINDS[self.kind].msgid, name=self.subject) if self.kind in KINDS else verbatim(self.subject)

    @property
    def values(self) -> tuple[Text, Text]:
        """What was expected and what was found."""
        return _said(self.expected), _said(self.found)

    def as_text(self) -> Text:
        """Return the difference as a sentence."""
        if self.kind and self.found == MISSING:
            return Text("{object}: expected, missing", object=self.label)
        if self.kind:
            return Text("{object}: not in the backup, but found", object=self.label)
        expected, found = self.values
        return Text(
            "{subject}: expected {expected}, found {found}", subject=self.subject, expected=expected, found=found
        )


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Measured inside one snapshot. All counts are exact; what could not be measured is in ``missing``.

    tables: qualified name -> rows (of a file set: path -> top-level entries).
    sequences: qualified name -> last value, or None where it was never used.
    objects: kind (tables, indexes, views, ...) -> how many.
    names: kind -> names of its objects, sorted; a kind with more than ``MOST_NAMES`` is left out.
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
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
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

    def made_anew(self, found: Facts) -> tuple[Text, ...]:
        """Say which materialised views have another number of rows in ``found``, a restored copy.

        A dump has no rows of them: a restore fills them from its tables, whatever they held before.
        """
        return tuple(
            Text(
                "{name} was filled anew from its tables. Rows now: {found}; when it was backed up: {expected}.",
                name=name, found=found.tables[name], expected=self.tables[name],
            )
            for name in sorted(self._views(found))
            if self.tables[name] != found.tables[name]
        )  # fmt: skip

    def unknowns(self) -> tuple[Difference, ...]:
        """List the tables whose rows were not measured, so that nobody takes a copy's for equal."""
        return tuple(Difference(subject=name, expected=NOT_MEASURED, found="–") for name in self.uncounted)

    def numbers(self) -> list[tuple[Text, int]]:
        """Return of which kinds of objects there are how many; kinds without any are left out."""
        return [(NUMBERS_OF.get(kind, verbatim(kind)), count) for kind, count in self.objects.items() if count]

    def only(self, tables: Container[str]) -> Facts:
        """Return the rows and hashes of these tables, and nothing else."""
        return Facts(
            tables={name: rows for name, rows in self.tables.items() if name in tables},
            hashes={name: total for name, total in self.hashes.items() if name in tables},
            missing=tuple(name for name in self.missing if name in tables),
            reasons=self.reasons,
        )

    def without_names(self) -> Facts:
        """Return what the catalogue keeps; the names stay in the manifest."""
        return replace(self, names={})

    def _differences(self, found: Facts) -> Iterator[Difference]:
        left_out = {*self.uncounted, *self._views(found)}
        told = [*_unequal(self.tables, found.tables, left_out), *_unequal(self.sequences, found.sequences)]
        yield from told
        yield from self._objects(found, {each.subject for each in told if "–" in (each.expected, each.found)})
        yield from _unequal(self.checksums, found.checksums)
        for name in sorted(self.hashes.keys() & found.hashes.keys()):
            if self.hashes[name] != found.hashes[name] and self.tables.get(name) == found.tables.get(name):
                yield Difference(subject=name, expected=f"hash {self.hashes[name]}", found=f"hash {found.hashes[name]}")
        if self.schema_fingerprint and self.schema_fingerprint != found.schema_fingerprint:
            yield Difference(
                subject="schema", expected=self.schema_fingerprint[:12], found=found.schema_fingerprint[:12]
            )

    def _views(self, found: Facts) -> set[str]:
        """Return the materialised views that both have counted."""
        named = {name for each in (self, found) for name in each.names.get("materialized_views", ())}
        return named & self.tables.keys() & found.tables.keys()

    def _objects(self, found: Facts, told: Set[str]) -> Iterator[Difference]:
        """Name what is missing or too many where both know the names, else say how many there are."""
        named = self.names.keys() & found.names.keys()
        yield from _unequal(self.objects, found.objects, named)
        for kind in sorted(named):
            mine, theirs = set(self.names[kind]), set(found.names[kind])
            for name in sorted((mine ^ theirs) - (told if kind in WITH_ROWS else set())):
                expected, seen = (THERE, MISSING) if name in mine else ("–", THERE)
                yield Difference(subject=name, expected=expected, found=seen, kind=kind)


def named(names: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return what ``Facts.names`` holds of them: sorted, without the kinds that have too many."""
    listed = {kind: sorted(each) for kind, each in names.items()}
    return {kind: each for kind, each in listed.items() if len(each) <= MOST_NAMES}


def _unequal(mine: Mapping[str, Any], theirs: Mapping[str, Any], unknown: Iterable[str] = ()) -> Iterator[Difference]:
    for name in sorted((mine.keys() | theirs.keys()).difference(unknown)):
        if mine.get(name) != theirs.get(name) or (name in mine) != (name in theirs):
            yield Difference(subject=name, expected=_shown(mine, name), found=_shown(theirs, name))


def _said(value: str) -> Text:
    return {THERE: Text("there"), MISSING: Text("missing"), NOT_MEASURED: Text("not measured")}.get(
        value, verbatim(value)
    )


def _shown(facts: Mapping[str, Any], name: str) -> str:
    return str(facts[name]) if name in facts else "–"

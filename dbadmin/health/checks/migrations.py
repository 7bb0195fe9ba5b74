"""Whether the schema is where the migration files want it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from dbadmin.choices import Verdict
from dbadmin.health.registry import ALL, Migrations, Observation, Result, check
from dbadmin.text import Text

_WORST_FIRST = (Verdict.CRITICAL, Verdict.UNKNOWN, Verdict.WARNING)


@check("migrations", Text("Migrations"), engines=ALL)
def migrations(seen: Observation) -> Result:
    """The worst of what the newest reading of every tool says."""
    if not seen.migrations:
        return Result(
            verdict=Verdict.SKIPPED, message=Text("No migration tool was found when the history was last read.")
        )
    troubles = [trouble for reading in seen.migrations for trouble in _troubles(reading, seen)]
    if troubles:
        return min(troubles, key=lambda trouble: _WORST_FIRST.index(trouble.verdict))
    heads = ", ".join(f"{reading.tool} {reading.head}" for reading in seen.migrations)
    return Result(verdict=Verdict.OK, message=Text("Migrations are applied: {heads}", heads=heads[:200]), value=0)


def _troubles(reading: Migrations, seen: Observation) -> Iterator[Result]:
    tool = reading.tool
    if reading.failed:
        yield Result(
            verdict=Verdict.CRITICAL,
            message=Text("{tool}: a migration failed: {names}", tool=tool, names=", ".join(reading.failed)),
            hint=Text("See what it left half done, mend that, and tell the tool whether it counts as applied."),
        )
    if reading.file_missing:
        yield Result(
            verdict=Verdict.CRITICAL,
            message=Text(
                "{tool}: applied, but the file is missing: {names}", tool=tool, names=", ".join(reading.file_missing)
            ),
            hint=Text("Bring the file back from version control before the next migration."),
        )
    if reading.modified:
        yield Result(
            verdict=Verdict.WARNING,
            message=Text("{tool}: changed after it was applied: {names}", tool=tool, names=", ".join(reading.modified)),
            hint=Text("Undo the change and put it into a new migration."),
        )
    if reading.problem:
        yield Result(verdict=Verdict.WARNING, message=reading.problem)
    if reading.pending:
        yield Result(
            verdict=Verdict.WARNING,
            message=Text("{tool}: pending migrations: {count}.", tool=tool, count=reading.pending),
            hint=Text("Apply them, or deploy the version that belongs to this schema."),
            value=reading.pending,
        )
    if seen.now - reading.read_at > timedelta(days=seen.thresholds.history_age_days):
        yield Result(
            verdict=Verdict.UNKNOWN,
            message=Text("{tool}: the history was last read at {time}.", tool=tool, time=f"{reading.read_at:%Y-%m-%d}"),
            hint=Text("Read the migration history again."),
        )

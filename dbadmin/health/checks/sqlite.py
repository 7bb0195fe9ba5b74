"""What only a SQLite file has."""

from __future__ import annotations

from dbadmin.choices import EngineName, Verdict
from dbadmin.health.checks.size import MEGABYTE
from dbadmin.health.registry import Observation, Result, check, graded
from dbadmin.text import Text

SQLITE = {EngineName.SQLITE}


@check("sqlite_content", Text("Not empty"), engines=SQLITE, needs=("size_bytes", "table_count"))
def content(seen: Observation) -> Result:
    """A file of zero bytes passes every check of SQLite itself: a wrong path or a lost file looks healthy."""
    if seen["size_bytes"] == 0:
        return _empty(Text("The file has zero bytes."))
    if seen["table_count"] == 0:
        return _empty(Text("The file has no tables."))
    return Result(
        verdict=Verdict.OK,
        message=Text("Tables in the file: {tables}.", tables=seen["table_count"]),
        value=seen["table_count"],
    )


def _empty(message: Text) -> Result:
    hint = Text("See whether the path is right; if it is, restore the newest backup.")
    return Result(verdict=Verdict.CRITICAL, message=message, hint=hint, value=0)


@check("quick_check", Text("Structure"), engines=SQLITE, needs=("quick_check",))
def quick_check(seen: Observation) -> Result:
    """SQLite's own quick_check: the structure of every page, not the match of indexes and tables."""
    problems = [line for line in seen["quick_check"] if line != "ok"]
    if not problems:
        return Result(verdict=Verdict.OK, message=Text("quick_check found nothing."), value=0)
    return Result(
        verdict=Verdict.CRITICAL,
        message=Text(
            "quick_check found problems ({count}), the first: {first}", count=len(problems), first=problems[0][:200]
        ),
        hint=Text("Stop the application, keep a copy of the file with its -wal, and restore the newest backup."),
        value=len(problems),
    )


@check("wal_size", Text("Write-ahead log"), engines=SQLITE, needs=("wal_bytes",))
def wal_size(seen: Observation) -> Result:
    """A log that grows means that no checkpoint gets through."""
    megabytes = seen["wal_bytes"] / MEGABYTE
    verdict = graded(megabytes, seen.thresholds.wal_megabytes)
    return Result(
        verdict=verdict,
        message=Text("The write-ahead log takes {megabytes} MB.", megabytes=round(megabytes, 1)),
        hint=Text("A reader that never ends its transaction keeps the log from being written back; find and end it.")
        if verdict != Verdict.OK
        else Text(""),
        value=megabytes,
    )

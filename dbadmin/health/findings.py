"""Findings that are written when something happens: it may be mended before the next check would have seen it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dbadmin.health.registry import Result
from dbadmin.models import Finding


@dataclass(frozen=True, kw_only=True)
class Happened:
    """What has come to a database, in the words of the check that sees it as long as it goes on."""

    database_id: int
    check_id: str
    result: Result


def tell(happened: Iterable[Happened], *, now: datetime) -> None:
    """Open a finding for each, unless one of its check is open; the next health check goes on with it or resolves it.

    One query. What comes later for the same database and check is left out.
    """
    first = {(each.database_id, each.check_id): each.result for each in reversed(list(happened))}
    rows = (opened(*where, result, now=now) for where, result in sorted(first.items()))
    Finding.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)


def opened(database_id: int, check_id: str, result: Result, *, now: datetime) -> Finding:
    """Return a finding that begins now and is not saved yet."""
    return Finding(
        database_id=database_id,
        check_id=check_id,
        verdict=result.verdict,
        message=result.message,
        hint=result.hint,
        opened_at=now,
        last_seen_at=now,
    )

"""``backup stats``: figures of backups, and how ready everything is for a disaster."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from dbadmin.backups.readiness import Place, Readiness, Step, assess
from dbadmin.backups.statistics import Rate, Statistics, Total, gather
from dbadmin.backups.storage_use import LOOK_BACK, Use, uses
from dbadmin.management.command import CRITICAL, DONE, WARNING, Outcome
from dbadmin.management.rows import clock
from dbadmin.management.storages import storage_line, storage_row
from dbadmin.models import Storage
from dbadmin.templatetags.dbadmin import duration
from dbadmin.text import Text

STATISTICS = {
    "stats": "count, size, success, growth and cost; with --dr whether each database would survive a disaster"
}


class StatisticsVerbs:
    """The verb ``stats``, which changes nothing."""

    def add_stats(self, parser: ArgumentParser) -> None:
        """Add which figures."""
        said = "copies per place, 3-2-1, RPO, RTO; exit code 1: something is missing, 2: too much would be lost"
        parser.add_argument("--dr", action="store_true", help=said)

    def do_stats(self, options: dict[str, Any]) -> Outcome:
        """Count, or judge."""
        if options["dr"]:
            return _readiness(assess(timezone.now()))
        registered = Storage.objects.registered().select_related("retention").prefetch_related("keys")
        return _statistics(gather(timezone.now()), uses(registered, since=timezone.localdate() - LOOK_BACK))


def _statistics(found: Statistics, stored: list[Use]) -> Outcome:
    result = {
        "total": _total(found.total),
        "scopes": {scope: _total(total) for scope, total in found.by_scope.items()},
        "success": {"days_30": _rate(found.rate_30), "days_90": _rate(found.rate_90)},
        "databases": [
            _total(row.total)
            | {
                "database": row.database.slug,
                "newest_bytes": row.trend.newest_size,
                "newest_seconds": row.trend.newest_seconds,
                "growth_bytes_per_month": row.trend.per_month,
                "success": {"days_30": _rate(row.rate_30), "days_90": _rate(row.rate_90)},
            }
            for row in found.rows
        ],
        "storages": [storage_row(use) for use in stored],
    }
    return Outcome(results=[result], lines=_lines(found, stored))


def _lines(found: Statistics, stored: list[Use]) -> Iterator[object]:
    total = found.total
    yield Text("Backups: {count}, {size}", count=total.count, size=_size(total.size))
    if total.oldest and total.newest:
        yield Text("oldest {oldest}, newest {newest}", oldest=clock(total.oldest), newest=clock(total.newest))
    yield Text("succeeded: {month} in 30 days, {quarter} in 90 days",
               month=_percent(found.rate_30), quarter=_percent(found.rate_90))  # fmt: skip
    for scope, part in found.by_scope.items():
        yield f"  {scope:<24} {_counted(part)}"
    for row in found.rows:
        rate = Text("{percent} in 30 days", percent=_percent(row.rate_30))
        yield f"  {row.database.slug:<24} {_counted(row.total)}  {rate}"
    for use in stored:
        yield f"  {storage_line(use)}"


def _readiness(found: list[Readiness]) -> Outcome:
    bad = any(row.step == Step.BACK_UP for row in found)
    return Outcome(
        results=[_ready(row) for row in found],
        lines=[line for row in found for line in _ready_lines(row)],
        exit_code=CRITICAL if bad else DONE if all(row.is_ready for row in found) else WARNING,
    )


def _ready(row: Readiness) -> dict[str, Any]:
    return {
        "database": row.database.slug,
        "ready": row.is_ready,
        "copies": row.copies,
        "storages": row.storages,
        "offsite": row.offsite,
        "three_two_one": row.is_321,
        "places": [_place(place) for place in row.places],
        "rpo_seconds": _seconds(row.rpo),
        "rpo_target_seconds": _seconds(row.rpo_target),
        "rto_seconds": _seconds(row.rto),
        "rto_target_seconds": _seconds(row.rto_target),
        "missing": row.missing,
        "next": row.step.value,
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "storage": place.storage.name,
        "is_offsite": place.storage.is_offsite,
        "held": place.held,
        "counts": place.counts,
    }


def _ready_lines(row: Readiness) -> Iterator[str]:
    rule = Text("3-2-1 reached") if row.is_321 else Text("3-2-1 not reached")
    places = Text("(copies: {copies}, storages: {storages}, offsite: {offsite})", copies=row.copies,
                  storages=row.storages, offsite=row.offsite)  # fmt: skip
    lost = Text("RPO {measured} of {target}", measured=duration(row.rpo), target=duration(row.rpo_target))
    down = Text("RTO {measured} of {target}", measured=duration(row.rto), target=duration(row.rto_target))
    yield f"{'✓' if row.is_ready else '✗'} {row.database.slug:<24} {rule} {places}  {lost}  {down}"
    for place in row.places:
        if place.held:
            uncounted = "" if place.counts else f", {Text('does not count')}"
            yield f"    {place.storage}: {clock(place.held)}{uncounted}"
    if not row.is_ready:
        yield f"    {row.missing}"


def _counted(total: Total) -> Text:
    return Text("backups: {count} {size}", count=f"{total.count:>7}", size=f"{_size(total.size):>10}")


def _total(total: Total) -> dict[str, Any]:
    return {"count": total.count, "bytes": total.size, "oldest": total.oldest, "newest": total.newest}


def _rate(rate: Rate) -> dict[str, Any]:
    percent = None if rate.percent is None else round(rate.percent, 2)
    return {"succeeded": rate.succeeded, "ended": rate.ended, "percent": percent}


def _percent(rate: Rate) -> str:
    return "–" if rate.percent is None else f"{rate.percent:.1f} %"


def _size(size: int) -> str:
    return filesizeformat(size).replace("\xa0", " ")


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else round(span.total_seconds(), 1)

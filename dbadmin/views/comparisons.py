"""Comparisons: choosing what to compare a backup with, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from dbadmin.backups.compare import quick_look, require_comparable
from dbadmin.choices import BackupState, ComparisonState, EngineName, JobKind
from dbadmin.exceptions import DbadminError
from dbadmin.models import Backup, Comparison
from dbadmin.views.access import requires
from dbadmin.views.failures import failed
from dbadmin.views.starting import start_one

OFFERED = 100
SHOWN_EQUAL = 300
LIVE = "live"


@requires("dbadmin.run_backup")
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask what with; for another backup show at once what was measured otherwise; when posted, start."""
    backup = get_object_or_404(Backup.objects.select_related("database__application", "storage"), pk=pk)
    asked = (request.POST if request.method == "POST" else request.GET).get("with", "")
    other = _other(backup, asked)
    if request.method == "POST":
        return _start(request, backup, other)
    offered = Backup.objects.listed().filter(database=backup.database).exclude(pk=backup.pk)
    context = {
        "backup": backup,
        "other": other,
        "offered": offered.exclude(state=BackupState.DELETED).order_by("-finished_at")[:OFFERED],
        "looked": quick_look(backup, other)[:SHOWN_EQUAL] if other else (),
        "earlier": backup.comparisons.select_related("right")[:20],
    }
    return render(request, "dbadmin/comparison_new.html", context)


@requires("dbadmin.view_backup")
@require_safe
def comparison(request: HttpRequest, pk: int) -> HttpResponse:
    """Show how the two differ. Keys and values of rows are for those who could restore them."""
    found = get_object_or_404(
        Comparison.objects.select_related("left__database__application", "right__database", "job"), pk=pk
    )
    result = found.result
    tables = result.get("tables", [])
    context = {
        "comparison": found,
        "headline": headline(found),
        "is_files": found.left.database.engine == EngineName.FILES,
        "may_see_keys": request.user.has_perm("dbadmin.run_restore"),
        "took": found.finished_at - found.started_at,
        "different": [row for row in tables if row["state"] != "same"],
        "equal": [row for row in tables if row["state"] == "same"][:SHOWN_EQUAL],
        "equal_count": result.get("table_count", 0) - result.get("differing", 0),
        "schema": [change | {"lines": list(_lines(change["diff"]))} for change in result.get("schema", [])],
        "values": [*result.get("sequences", []), *result.get("objects", []), *result.get("heads", [])],
    }
    return render(request, "dbadmin/comparison.html", context)


def headline(found: Comparison) -> str:
    """Say in one sentence what differs."""
    if found.state == ComparisonState.EQUAL:
        return _("Nothing differs")
    if found.state == ComparisonState.INCOMPLETE:
        return _("No difference found, but not everything was compared")
    counts = _counts(found)
    parts = [part for part in _parts(counts, is_files=found.left.database.engine == EngineName.FILES) if part]
    if not parts:
        return _("The schema differs")
    what = parts[0] if len(parts) == 1 else _("{first} and {last}").format(first=", ".join(parts[:-1]), last=parts[-1])
    return ngettext("{what} differs", "{what} differ", counts.total()).format(what=what)


def _counts(found: Comparison) -> Counter[str]:
    """A table whose rows and definition both differ is one table."""
    result = found.result
    schema = result.get("schema", [])
    tables = {row["name"] for row in result.get("tables", []) if row["state"] not in ("same", "unknown")}
    tables |= {change["name"] for change in schema if change["kind"] == "table"}
    counts: Counter[str] = Counter({"tables": len(tables), "sequences": len(result.get("sequences", []))})
    for change in schema:
        kind = change["kind"]
        if kind != "table":
            counts["indexes" if kind == "index" else "constraints" if "constraint" in kind else "others"] += 1
    if not counts.total():
        counts["others"] = len(result.get("objects", [])) + len(result.get("heads", []))
    return counts


def _parts(counts: Counter[str], *, is_files: bool) -> Iterator[str]:
    number = counts["tables"]
    if number and is_files:
        yield ngettext("{n} file", "{n} files", number).format(n=number)
    elif number:
        yield ngettext("{n} table", "{n} tables", number).format(n=number)
    if number := counts["indexes"]:
        yield ngettext("{n} index", "{n} indexes", number).format(n=number)
    if number := counts["constraints"]:
        yield ngettext("{n} constraint", "{n} constraints", number).format(n=number)
    if number := counts["sequences"]:
        yield ngettext("{n} sequence", "{n} sequences", number).format(n=number)
    if number := counts["others"]:
        yield ngettext("{n} other object", "{n} other objects", number).format(n=number)


def _lines(diff: str) -> Iterator[tuple[str, str]]:
    styles = {"+": "diff-added", "-": "diff-removed", "@": "diff-place"}
    for line in diff.splitlines():
        yield styles.get(line[:1], ""), line


def _other(backup: Backup, asked: str) -> Backup | None:
    """Return the chosen backup; None is the live database."""
    if not asked.isdecimal():
        return None
    return get_object_or_404(
        Backup.objects.select_related("database__application", "storage").filter(database=backup.database), pk=asked
    )


def _start(request: HttpRequest, backup: Backup, other: Backup | None) -> HttpResponse:
    try:
        require_comparable(backup, other)
    except DbadminError as error:
        return failed(request, error, back_to=backup.get_absolute_url())
    params: dict[str, Any] = {"backup": backup.pk, "content": request.POST.get("depth") != "quick"}
    if other is not None:
        params["with"] = other.pk
    return start_one(request, JobKind.COMPARE, backup.database, params=params, back_to=backup.get_absolute_url())

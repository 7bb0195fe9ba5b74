"""Health: what the checks said last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from dbadmin.choices import JobKind, Verdict
from dbadmin.forms.filters import HealthFilter
from dbadmin.health import checks as checks  # registers them
from dbadmin.health.registry import labels
from dbadmin.models import CheckResult, Database, Finding
from dbadmin.models.database import DatabaseQuerySet
from dbadmin.text import Text
from dbadmin.views.access import requires
from dbadmin.views.starting import start_all, start_one

# Answers older than this say nothing about now: the worker or the tick has stopped.
STALE = timedelta(minutes=30)
WORST_FIRST = (Verdict.CRITICAL, Verdict.WARNING, Verdict.UNKNOWN, Verdict.OK, Verdict.SKIPPED)


@dataclass(frozen=True)
class Answer:
    """A result and what people call its check."""

    label: Text | str
    result: CheckResult


@dataclass(frozen=True)
class DatabaseHealth:
    """A database with the answers that are shown of it."""

    database: Database
    answers: list[Answer]
    verdict: Verdict
    is_stale: bool


@requires("dbadmin.view_finding")
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Say in a sentence how the databases are, then what needs attention, then every answer."""
    chosen = HealthFilter(request.GET)
    one, verdict = chosen.cleaned_data.get("database"), chosen.cleaned_data.get("verdict")
    databases = _judged(Database.objects.registered().filter(**{"pk": one.pk} if one else {}))
    findings = Finding.objects.open().filter(database__in=[entry.database for entry in databases])
    context = {
        "filter": chosen,
        "situation": _of_one(databases[0]) if one and databases else _of_all(databases),
        "findings": sorted(findings.select_related("database__application"), key=_by_urgency),
        "databases": _narrowed(databases, verdict) if verdict else databases,
        "stale_count": sum(entry.is_stale for entry in databases),
        "one": one,
    }
    return render(request, "dbadmin/health.html", context)


@requires("dbadmin.run_checks")
@require_POST
def run(request: HttpRequest) -> HttpResponse:
    """Check one database, or all of them, now."""
    databases = Database.objects.registered()
    if slug := request.POST.get("database", ""):
        return start_one(request, JobKind.HEALTH, get_object_or_404(databases, slug=slug), back_to="health")
    count = start_all(request, JobKind.HEALTH, databases)
    said = ngettext("{count} health check started.", "{count} health checks started.", count)
    messages.success(request, said.format(count=count))
    return redirect("health")


def _judged(databases: DatabaseQuerySet) -> list[DatabaseHealth]:
    ordered = list(databases.select_related("application"))
    results = CheckResult.objects.filter(database__in=ordered).order_by("database_id", "check_id")
    by_database = {key: list(group) for key, group in groupby(results, key=lambda result: result.database_id)}
    return [_judge(database, by_database.get(database.pk, [])) for database in ordered]


def _judge(database: Database, results: list[CheckResult]) -> DatabaseHealth:
    """Take the worst answer. Without answers, or with old ones only, it is unknown, and never well."""
    newest = max((result.checked_at for result in results), default=None)
    is_stale = newest is None or timezone.now() - newest > STALE
    found = {Verdict(result.verdict) for result in results} - {Verdict.SKIPPED}
    worst = next((verdict for verdict in WORST_FIRST if verdict in found), Verdict.UNKNOWN)
    if is_stale and worst == Verdict.OK:
        worst = Verdict.UNKNOWN
    names = labels()
    answers = [Answer(names.get(result.check_id, result.check_id), result) for result in results]
    return DatabaseHealth(database=database, answers=answers, verdict=worst, is_stale=is_stale)


def _narrowed(databases: list[DatabaseHealth], verdict: str) -> list[DatabaseHealth]:
    """Keep the answers with this verdict, and databases whose verdict it is although no answer has it."""
    kept = []
    for entry in databases:
        answers = [answer for answer in entry.answers if answer.result.verdict == verdict]
        if answers or entry.verdict == verdict:
            kept.append(replace(entry, answers=answers))
    return kept


def _of_one(entry: DatabaseHealth) -> str:
    if entry.verdict == Verdict.OK:
        return _("is well")
    unknown = entry.verdict == Verdict.UNKNOWN
    return _("nobody can say how it is") if unknown else _("needs attention")


def _of_all(databases: list[DatabaseHealth]) -> str:
    total = len(databases)
    bad = sum(entry.verdict in (Verdict.CRITICAL, Verdict.WARNING) for entry in databases)
    unknown = sum(entry.verdict == Verdict.UNKNOWN for entry in databases)
    if not total:
        return _("No database is registered yet")
    if bad:
        said = ngettext(
            "{count} of {total} databases needs attention", "{count} of {total} databases need attention", bad
        )
        return said.format(count=bad, total=total)
    if unknown:
        said = ngettext(
            "Nobody can say how {count} of {total} databases is",
            "Nobody can say how {count} of {total} databases are",
            unknown,
        )
        return said.format(count=unknown, total=total)
    return ngettext("{total} database is well", "All {total} databases are well", total).format(total=total)


def _by_urgency(finding: Finding) -> tuple[int, int]:
    return WORST_FIRST.index(Verdict(finding.verdict)), finding.pk

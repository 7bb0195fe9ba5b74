"""For load balancers and monitors: does the installation work? Tells nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dbadmin.choices import JobState
from dbadmin.jobs import workers
from dbadmin.jobs.bell import bells
from dbadmin.jobs.bells.base import Unreachable
from dbadmin.models import Job

PATIENCE = timedelta(minutes=2)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer 200 “ok”, or 503 with the part that does not work: catalogue, queue or worker."""
    try:
        bells().require()
        broken = "" if worker_works(timezone.now()) else "worker"
    except DatabaseError:
        broken = "catalogue"
    except Unreachable:
        broken = "queue"
    return HttpResponse(broken or "ok", status=503 if broken else 200, content_type="text/plain")


def worker_works(now: datetime) -> bool:
    """Say whether somebody works.

    A worker lives, none is missing for a job that waits, nothing has waited long while nothing runs, and nothing that
    runs was abandoned.
    """
    if not workers.someone_works(now) or workers.complaints(now) or Job.objects.expired(now - PATIENCE).exists():
        return False
    waits = Job.objects.filter(state=JobState.QUEUED, created_at__lt=now - PATIENCE)
    return not waits.exists() or Job.objects.filter(state=JobState.RUNNING).exists()

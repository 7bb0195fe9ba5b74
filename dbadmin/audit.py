"""The trail: who did what to which object, from where and why."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.http import HttpRequest

from dbadmin.models import AuditEvent, Job


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts: a signed-in user, or the operating system's user of a command."""

    name: str
    user: User | None = None
    address: str = ""


SYSTEM = Actor(name="dbadmin")


def from_request(request: HttpRequest) -> Actor:
    """Return the signed-in user with the address the request came from."""
    user = request.user if request.user.is_authenticated else None
    return Actor(name=user.get_username() if user else "", user=user, address=client_address(request))


def from_shell() -> Actor:
    """Return the operating system's user, for management commands."""
    return Actor(name=f"shell:{getpass.getuser()}")


def by_shell(job: Job) -> bool:
    """Say whether somebody on this machine asked for a job; no name of a user has a colon."""
    return job.requested_by_id is None and job.actor.startswith("shell:")


def from_job(job: Job | None) -> Actor:
    """Return who asked for a job; without one, the product itself."""
    return Actor(name=job.actor, user=job.requested_by) if job else SYSTEM


def client_address(request: HttpRequest) -> str:
    """Return the peer's address; X-Forwarded-For only when the peer is the trusted proxy."""
    peer: str = request.META.get("REMOTE_ADDR", "")
    forwarded: str = request.META.get("HTTP_X_FORWARDED_FOR", "")
    if forwarded and peer == settings.TRUSTED_PROXY:
        return forwarded.rpartition(",")[2].strip()[:45]
    return peer


def record(
    actor: Actor, action: str, obj: models.Model | None = None, *, reason: str = "", **details: Any
) -> AuditEvent:
    """Write one event. ``action`` is a namespaced verb such as ``backup.run``; details are JSON values, no secrets.

    Call it inside the transaction of what it records, so that neither is there without the other.
    """
    return AuditEvent.objects.create(
        user=actor.user,
        actor=actor.name,
        address=actor.address,
        action=action,
        object_type=(obj._meta.model_name or "") if obj else "",
        object_id=str(obj.pk) if obj else "",
        object_label=str(obj)[:300] if obj else "",
        reason=reason[:500],
        details=details,
    )

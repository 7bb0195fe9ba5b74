"""Signing in: throttled by what the audit trail says of failed attempts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.contrib.auth.views import LoginView, redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone

from dbadmin import audit
from dbadmin.models import AuditEvent

FAILED = "login.failed"
ATTEMPTS = 10
WINDOW = timedelta(minutes=15)
SUCCEEDED = "login"
KNOWN_FOR = timedelta(days=30)


class Login(LoginView):
    """The one login page, for the dashboard and for Django admin."""

    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Refuse without looking at the password after too many failures from this address or for this name."""
        again_at = blocked_until(audit.client_address(request), request.POST.get("username", ""))
        if again_at is None:
            return super().post(request, *args, **kwargs)
        seconds = max(1, round((again_at - timezone.now()).total_seconds()))
        context = {"minutes": -(-seconds // 60), "again_at": again_at}
        response = render(request, "429.html", context, status=429)
        response.headers["Retry-After"] = str(seconds)
        return response


def for_administration(request: HttpRequest) -> HttpResponseBase:
    """Stand in for Django admin's own login page, so that there is only one to attack."""
    if request.user.is_authenticated:
        raise PermissionDenied
    return redirect_to_login(request.GET.get("next", ""), settings.LOGIN_URL)


def blocked_until(address: str, username: str) -> datetime | None:
    """Return when an address and a user name may try again, or None when they may now.

    Strangers cannot lock somebody out: failures for the name from other addresses do not count for an address from
    which that name has signed in lately. Its own failures do.
    """
    failed = AuditEvent.objects.filter(action=FAILED, at__gt=timezone.now() - WINDOW)
    ends = [_end_of(failed.filter(address=address))]
    if not _is_known(address, username[:150]):
        ends.append(_end_of(failed.filter(actor=username[:150])))
    return max((end for end in ends if end), default=None)


def _is_known(address: str, username: str) -> bool:
    """Say whether this name has signed in from this address within thirty days."""
    signed_in = AuditEvent.objects.filter(action=SUCCEEDED, address=address, at__gt=timezone.now() - KNOWN_FOR)
    return bool(address) and signed_in.filter(actor=username).exists()


def _end_of(failures: QuerySet[AuditEvent]) -> datetime | None:
    """Return when the oldest of the newest failures that count leaves the window."""
    times = list(failures.order_by("-at").values_list("at", flat=True)[:ATTEMPTS])
    return times[-1] + WINDOW if len(times) == ATTEMPTS else None


@receiver(user_logged_in)
def record_login(request: HttpRequest, user: Any, **_: Any) -> None:
    """Write who signed in."""
    audit.record(_actor(request, user), SUCCEEDED, user)


@receiver(user_logged_out)
def record_logout(request: HttpRequest, user: Any, **_: Any) -> None:
    """Write who signed out."""
    if user is not None:
        audit.record(_actor(request, user), "logout", user)


@receiver(user_login_failed)
def record_failure(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Write the name that was tried; never the password."""
    if request is not None:
        name = str(credentials.get("username", ""))[:150]
        audit.record(audit.Actor(name=name, address=audit.client_address(request)), FAILED)


def _actor(request: HttpRequest, user: Any) -> audit.Actor:
    return audit.Actor(name=user.get_username(), user=user, address=audit.client_address(request))

"""Django admin, with everything that is done in it in the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import models
from django.http import HttpRequest
from django.template.response import TemplateResponse

from dbadmin import audit


class Administration(admin.AdminSite):
    """The site; its page for one's own password is the only one that changes something without a ``ModelAdmin``."""

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Record that it was changed."""
        response = super().password_change(request, extra_context)
        if request.method == "POST" and response.status_code == 302 and isinstance(request.user, User):
            audit.record(audit.from_request(request), "user.change", request.user, changed=["password"])
        return response


class Recorded:
    """For a ``ModelAdmin``: adding, changing and deleting are audit events with names of fields, never their values.

    Django calls these in the transaction of the change.
    """

    def log_addition(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        """Record it."""
        _record(request, "add", obj, changed=_fields(message))
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        """Record it, also a new password."""
        _record(request, "change", obj, changed=_fields(message))
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: Iterable[models.Model]) -> Any:
        """Record each."""
        for obj in queryset:
            _record(request, "delete", obj)
        return super().log_deletions(request, queryset)  # type: ignore[misc]


def _record(request: HttpRequest, verb: str, obj: models.Model, **details: Any) -> None:
    audit.record(audit.from_request(request), f"{obj._meta.model_name}.{verb}", obj, **details | _rights(obj))


def _rights(obj: models.Model) -> dict[str, Any]:
    """What a user or group may do from now on is what the trail is asked about later."""
    if isinstance(obj, User):
        flags = {name: getattr(obj, name) for name in ("is_active", "is_staff", "is_superuser")}
        return flags | {"groups": sorted(obj.groups.values_list("name", flat=True))}
    if isinstance(obj, Group):
        return {"permissions": sorted(obj.permissions.values_list("codename", flat=True))}
    return {}


def _fields(message: Any) -> list[str]:
    """Return the names of changed fields from the structure that Django logs."""
    if not isinstance(message, list):
        return []
    return sorted({str(name) for part in message for what in part.values() for name in what.get("fields", ())})

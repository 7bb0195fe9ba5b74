"""Users, groups and passwords change in Django admin; the trail says who did it, from where, and never a hash."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from dbadmin.models import AuditEvent

PASSWORD = "correct horse battery"


@pytest.fixture
def root(db: None) -> Client:
    client = Client(REMOTE_ADDR="198.51.100.7")
    client.force_login(User.objects.create_superuser("root", password=PASSWORD))
    AuditEvent.objects.all().delete()
    return client


def only_event() -> AuditEvent:
    event = AuditEvent.objects.get()
    assert (event.actor, event.address) == ("root", "198.51.100.7")
    assert "md5$" not in str(event.__dict__)
    assert PASSWORD not in str(event.__dict__)
    return event


def account(**changes: Any) -> dict[str, Any]:
    dates = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    return {"username": "alice", "first_name": "", "last_name": "", "email": "", "is_active": "on"} | dates | changes


def test_a_new_user(root: Client) -> None:
    form = {"username": "alice", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert root.post(reverse("admin:auth_user_add"), form).status_code == 302
    event = only_event()
    assert (event.action, event.object_label, event.details["is_superuser"]) == ("user.add", "alice", False)


def test_more_rights_for_a_user(root: Client) -> None:
    alice = User.objects.create_user("alice", password=PASSWORD)
    form = account(is_superuser="on", groups=[Group.objects.get(name="admin").pk])
    assert root.post(reverse("admin:auth_user_change", args=[alice.pk]), form).status_code == 302
    event = only_event()
    assert (event.action, event.object_id) == ("user.change", str(alice.pk))
    assert event.details["is_superuser"]
    assert event.details["groups"] == ["admin"]
    assert event.details["changed"]


def test_a_password_of_somebody_else(root: Client) -> None:
    alice = User.objects.create_user("alice")
    form = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert root.post(reverse("admin:auth_user_password_change", args=[alice.pk]), form).status_code == 302
    event = only_event()
    assert (event.action, event.object_label, event.details["changed"]) == ("user.change", "alice", ["password"])


def test_ones_own_password(root: Client) -> None:
    new = "wrong cow accumulator"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new, "usable_password": "true"}
    root.post(reverse("admin:password_change"), form | {"old_password": "no"})
    assert not AuditEvent.objects.exists()
    assert root.post(reverse("admin:password_change"), form).status_code == 302
    event = only_event()
    assert (event.action, event.object_label, event.details) == ("user.change", "root", {"changed": ["password"]})


def test_each_of_several_deleted_users(root: Client) -> None:
    chosen = [User.objects.create_user(name).pk for name in ("alice", "bob")]
    form = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    root.post(reverse("admin:auth_user_changelist"), form)
    events = AuditEvent.objects.values_list("action", "object_label")
    assert sorted(events) == [("user.delete", "alice"), ("user.delete", "bob")]


def test_a_group(root: Client) -> None:
    viewers = Group.objects.get(name="viewer")
    root.post(reverse("admin:auth_group_change", args=[viewers.pk]), {"name": "viewer", "permissions": []})
    event = only_event()
    assert (event.action, event.details["permissions"]) == ("group.change", [])

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dbadmin.models import AuditEvent

PASSWORD = "correct horse battery"


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("alice", password=PASSWORD)


def attempt(password: str, *, name: str = "alice", address: str = "198.51.100.7") -> int:
    response = Client(REMOTE_ADDR=address).post("/login/", {"username": name, "password": password})
    return response.status_code


def test_signing_in_and_out_is_recorded(user: User) -> None:
    client = Client()
    client.post("/login/", {"username": "alice", "password": PASSWORD})
    client.post("/logout/")
    assert list(AuditEvent.objects.values_list("action", "actor")) == [("logout", "alice"), ("login", "alice")]


def test_a_failure_is_recorded_without_the_password(user: User) -> None:
    attempt("hunter2")
    event = AuditEvent.objects.get()
    assert (event.action, event.actor, event.address) == ("login.failed", "alice", "198.51.100.7")
    assert "hunter2" not in str(event.__dict__)


def test_ten_failures_from_one_address_close_it_for_every_name(user: User) -> None:
    assert [attempt("wrong", name=f"guess{n}") for n in range(10)] == [200] * 10
    assert attempt(PASSWORD) == 429
    assert attempt(PASSWORD, address="198.51.100.8") == 302


def test_ten_failures_for_one_name_close_it_from_every_address(user: User) -> None:
    assert [attempt("wrong", address=f"198.51.100.{n}") for n in range(10)] == [200] * 10
    assert attempt(PASSWORD, address="203.0.113.1") == 429


def test_a_stranger_cannot_lock_a_user_out_of_the_usual_place(user: User) -> None:
    assert attempt(PASSWORD, address="192.0.2.1") == 302
    for n in range(10):
        attempt("wrong", address=f"198.51.100.{n}")
    assert attempt(PASSWORD, address="192.0.2.1") == 302
    assert attempt(PASSWORD, address="192.0.2.2") == 429
    AuditEvent.objects.filter(action="login").update(at=timezone.now() - timedelta(days=31))
    assert attempt(PASSWORD, address="192.0.2.1") == 429


def test_a_usual_place_has_no_more_attempts_than_others(user: User) -> None:
    assert attempt(PASSWORD, address="192.0.2.1") == 302
    for _ in range(10):
        attempt("wrong", address="192.0.2.1")
    assert attempt(PASSWORD, address="192.0.2.1") == 429


def test_the_refusal_says_when_to_try_again(user: User) -> None:
    for _ in range(10):
        attempt("wrong")
    response = Client(REMOTE_ADDR="198.51.100.7").post("/login/", {"username": "alice", "password": PASSWORD})
    assert "Try again in 15 minutes" in response.content.decode()
    assert 880 < int(response.headers["Retry-After"]) <= 900


def test_after_a_quarter_of_an_hour_the_failures_are_forgotten(user: User) -> None:
    for _ in range(10):
        attempt("wrong")
    AuditEvent.objects.update(at=timezone.now() - timedelta(minutes=15, seconds=1))
    assert attempt(PASSWORD) == 302


def test_administration_has_no_login_page_of_its_own(user: User) -> None:
    response = Client().post("/admin/login/?next=/admin/", {"username": "alice", "password": PASSWORD})
    assert response.headers["Location"] == "/login/?next=/admin/"


def test_a_user_without_a_role_is_told_so(user: User) -> None:
    client = Client()
    client.force_login(user)
    response = client.get("/")
    assert response.status_code == 403
    assert "your account has no role" in response.content.decode()


def test_a_fragment_whose_session_ended_reloads_the_page(db: None) -> None:
    response = Client().get("/live/", headers={"HX-Request": "true"})
    assert (response.status_code, response.headers["HX-Refresh"]) == (401, "true")


def test_the_language_switch_works(user: User) -> None:
    client = Client()
    response = client.post("/i18n/setlang/", {"language": "ja", "next": "/login/"}, follow=True)
    assert '<html lang="ja">' in response.content.decode()


def test_a_post_without_token_gets_our_page(user: User) -> None:
    response = Client(enforce_csrf_checks=True).post("/login/", {})
    assert response.status_code == 403
    assert "This form is too old" in response.content.decode()

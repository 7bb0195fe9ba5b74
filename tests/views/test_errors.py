from __future__ import annotations

import logging

import pytest
from django.template.loader import render_to_string
from django.test import Client


@pytest.mark.parametrize("page", ["400.html", "403_csrf.html", "500.html"])
def test_error_pages_need_neither_request_nor_catalogue(page: str) -> None:
    assert "<h1" in render_to_string(page)


def test_an_unknown_host_gets_our_page() -> None:
    response = Client().get("/login/", headers={"host": "evil.example.org"})
    assert response.status_code == 400
    assert "ALLOWED_HOSTS" in response.content.decode()


def test_a_page_that_is_not_there_says_so(db: None) -> None:
    response = Client().get("/no/such/page/")
    assert response.status_code == 404
    assert "nothing at this address" in response.content.decode()


@pytest.mark.parametrize(("address", "status"), [("/no/such/page/", 404), ("/backups/1/delete/", 403)])
def test_what_is_refused_or_not_there_is_one_line_of_the_log(
    address: str, status: int, viewer: Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert viewer.get(address).status_code == status
    [record] = [record for record in caplog.records if record.name == "django.request"]
    [line] = logging.Formatter("%(message)s").format(record).splitlines()
    assert line.endswith(address)


def test_what_is_our_failure_keeps_its_traceback(
    viewer: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("dbadmin.views.backups.note_removals", broken)
    viewer.raise_request_exception = False
    assert viewer.get("/backups/").status_code == 500
    assert "ZeroDivisionError" in caplog.text

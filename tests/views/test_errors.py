from __future__ import annotations

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

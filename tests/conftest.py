"""What all tests share: the cast of users, and factories as plain functions in factories.py."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.sample_data import camp_backend as camp_backend
from tests.sample_data import sample_files as sample_files
from tests.sample_data import sample_sqlite as sample_sqlite
from tests.servers import server as server
from tests.servers import servers as servers


def _signed_in(role: str) -> Client:
    user = User.objects.create_user(role, password="correct horse battery")
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def viewer(db: None) -> Client:
    return _signed_in("viewer")


@pytest.fixture
def operator(db: None) -> Client:
    return _signed_in("operator")


@pytest.fixture
def admin(db: None) -> Client:
    return _signed_in("admin")

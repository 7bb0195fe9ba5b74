"""A catalogue from before there were copies has one for each backup afterwards."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps

from dbadmin.models import Copy
from tests.factories import make_backup

add_copies = import_module("dbadmin.migrations.0010_first_copies").add_copies


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "expected"), [("available", "stored"), ("damaged", "damaged"), ("deleted", "deleted")]
)
def test_each_backup_of_before_gets_its_copy(state: str, expected: str) -> None:
    backup = make_backup(state=state)
    Copy.objects.all().delete()
    add_copies(apps, None)
    add_copies(apps, None)
    copy = backup.copies.get()
    assert (copy.storage, copy.state, copy.size, copy.sha256) == (backup.storage, expected, backup.size, backup.sha256)
    assert str(copy.message) == ""

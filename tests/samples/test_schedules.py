"""A new dashboard is not kept by hand alone."""

from __future__ import annotations

import pytest
from django.utils import timezone

from dbadmin.backups import own
from dbadmin.backups.defaults import create_default_retentions
from dbadmin.models import Schedule, Storage
from dbadmin.samples.schedules import USUAL, make_schedules

pytestmark = pytest.mark.django_db


def test_the_usual_ones_come_beside_the_catalogues_and_once() -> None:
    Storage.default()
    create_default_retentions()
    own.register()
    own.register()
    assert len(make_schedules(timezone.now())) == len(USUAL)
    assert make_schedules(timezone.now()) == []
    names = {"Catalogue of dbadmin", *map(str, USUAL.values())}
    assert set(Schedule.objects.values_list("name", flat=True)) == names
    for schedule in Schedule.objects.filter(kind="backup"):
        assert schedule.destinations.get().retention is not None

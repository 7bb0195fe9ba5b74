from __future__ import annotations

import pytest

from dbadmin.backups.defaults import create_default_retentions
from dbadmin.models import Retention

pytestmark = pytest.mark.django_db


def test_a_new_installation_has_two_retentions_that_nothing_uses() -> None:
    assert [row.name for row in create_default_retentions()] == ["Daily 7, weekly 8, monthly 12", "Hourly 3 days"]
    tiers = Retention.objects.get(name__startswith="Daily")
    assert (tiers.daily, tiers.weekly, tiers.monthly, tiers.minimum) == (7, 8, 12, 3)
    assert not tiers.destinations.exists()


def test_who_removes_them_is_not_given_them_again() -> None:
    create_default_retentions()
    Retention.objects.all().delete()
    assert create_default_retentions() == []

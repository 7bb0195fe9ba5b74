"""The dashboard is forgotten for a year; see ``tests/year``. ``benchmarks/year.py`` lives it with twenty databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.year.simulation import Year


@pytest.mark.django_db(transaction=True)
def test_at_no_minute_of_a_year_the_newest_good_copy_is_gone(tmp_path: Path) -> None:
    figures = Year(tmp_path, databases=4).run()
    assert figures.days == 366

"""The dashboard is forgotten for a year; see ``tests/year``. ``benchmarks/year.py`` lives it with twenty databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.year.simulation import Year


@pytest.mark.django_db(transaction=True)
def test_at_no_moment_of_a_year_the_newest_good_copy_is_gone(tmp_path: Path) -> None:
    figures = Year(tmp_path, databases=2).run()
    assert (figures.days, figures.databases) == (366, 2)
    assert figures.missed_runs
    assert figures.failed_runs
    assert figures.died_jobs

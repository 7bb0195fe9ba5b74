from __future__ import annotations

import tomllib
from pathlib import Path

import dbadmin
from dbadmin.jobs.version import VERSION


def test_a_worker_names_the_version_of_the_packages_and_of_its_files() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert dbadmin.__version__ == project["version"]
    assert VERSION.startswith(f"{project['version']}+")

"""Every installed package has exactly the version that pyproject.toml names, and no file names a registry."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOSTS = re.compile(r"(pypi|pythonhosted|(deb|security|ftp)\.debian|npmjs)\.(org|com)")


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["tool"]["uv"]["constraint-dependencies"],
    ]
    pairs = (re.sub(r"\[.*?\]", "", line).split("==") for line in lines)
    return {normalised(name): version for name, version in pairs}


def test_every_installed_package_is_pinned() -> None:
    installed = {normalised(found.name): found.version for found in distributions()}
    unpinned = {name: version for name, version in installed.items() if pinned().get(name) != version}
    assert {name: v for name, v in unpinned.items() if name not in {"pip", "setuptools", "wheel"}} == {}


def test_no_file_names_a_registry_and_no_lock_file_is_kept() -> None:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    assert [path.name for path in files if path.name in {"uv.lock", "package-lock.json"}] == []
    texts = [path for path in files if path.suffix in {".py", ".toml", ".md", ".html", ".css", "", ".txt", ".cfg"}]
    assert [path.name for path in texts if HOSTS.search(path.read_text(errors="replace"))] == []

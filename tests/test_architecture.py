"""Imports point downwards only: entry points > jobs > use cases > models > core."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent / "dbadmin"
LAYERS = [
    {"text"},
    {"exceptions"},
    {"digest", "space", "probing", "progress", "facts", "timetable"},
    {"beside", "process", "sources"},
    {"storages"},
    {"archives"},
    {"engines"},
    {"choices", "crypto"},
    {"models"},
    {"audit"},
    {"alerts"},
    {"backups", "health", "migration_history", "maintenance"},
    {"jobs"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
CORE = {name for names in LAYERS[:7] for name in names}


def modules() -> list[Path]:
    return sorted(path for path in APP.rglob("*.py") if "migrations" not in path.relative_to(APP).parts)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(APP)))
def test_imports_point_downwards(path: Path) -> None:
    own = path.relative_to(APP).parts[0].removesuffix(".py")
    found = {name.split(".")[1] for name in imports(path) if name.startswith("dbadmin.")}
    if own in LEVEL:  # everything else is an entry point and may import anything
        assert found <= {own} | {name for name in LEVEL if LEVEL[name] < LEVEL[own]}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(APP)))
def test_core_knows_nothing_of_django(path: Path) -> None:
    if path.relative_to(APP).parts[0].removesuffix(".py") in CORE:
        assert not [name for name in imports(path) if name.split(".")[0] == "django"]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(APP)))
def test_only_process_starts_programs(path: Path) -> None:
    if path.name != "process.py":
        assert "subprocess.run" not in path.read_text()
        assert "subprocess.Popen(" not in path.read_text()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(APP)))
def test_locked_rows_may_be_referred_to(path: Path) -> None:
    """A row locked with its key stops every insert that refers to it: two transactions wait for each other soon."""
    source = path.read_text()
    assert source.count("select_for_update(") == source.count("select_for_update(no_key=True")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(APP)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350

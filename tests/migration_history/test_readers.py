"""The forms in which projects write what the readers look for."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbadmin.migration_history.project import Folder, MigrationFile
from dbadmin.migration_history.readers import READERS

ANNOTATED = '''"""Merge the branches

Revision ID: c3
Revises: a1, b2
Create Date: 2025-03-01 10:00:00.000000

"""
from typing import Sequence, Union

revision: str = "c3"
down_revision: Union[str, Sequence[str], None] = ("a1", "b2")
depends_on: Union[str, None] = "z9"
'''


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def alembic_files(folder: Path) -> dict[str, MigrationFile]:
    project = READERS["alembic"](Folder.open(str(folder)))
    return {file.revision: file for file in project.files} if project else {}


def test_annotated_and_tuple_forms_are_read(tmp_path: Path) -> None:
    write(tmp_path / "migrations/env.py", "")
    write(tmp_path / "migrations/versions/c3.py", ANNOTATED)
    file = alembic_files(tmp_path)["c3"]
    assert (file.follows, file.depends_on) == (("a1", "b2"), ("z9",))
    assert (file.description, file.created) == ("Merge the branches", "2025-03-01 10:00:00.000000")


@pytest.mark.parametrize(
    ("settings", "content", "versions"),
    [
        ("alembic.ini", "[alembic]\nscript_location = db\n", "db/versions"),
        ("alembic.ini", "[alembic]\nscript_location = %(here)s/db\n", "db/versions"),
        ("alembic.ini", "[alembic]\nscript_location = my.app:db\n", "my/app/db/versions"),
        ("src/alembic.ini", "[alembic]\nscript_location = alembic\n", "src/alembic/versions"),
        ("backend/alembic.ini", "[alembic]\nscript_location = backend/migrations\n", "backend/migrations/versions"),
        ("alembic.ini", "[alembic]\nscript_location = db\nversion_locations = one two\n", "two"),
        ("alembic.ini", "[alembic]\nscript_location = db\npath_separator = os\nversion_locations = a:b\n", "b"),
        ("pyproject.toml", '[tool.alembic]\nscript_location = "%(here)s/db"\n', "db/versions"),
        ("migrations/alembic.ini", "[alembic]\nfile_template = %%(rev)s\n", "migrations/versions"),
        ("migrations/env.py", "", "migrations/versions"),
        ("pyproject.toml", "not = [toml", "db/versions"),
    ],
)
def test_the_versions_folder_is_found(tmp_path: Path, settings: str, content: str, versions: str) -> None:
    write(tmp_path / settings, content)
    write(tmp_path / "db/env.py", "")
    write(tmp_path / versions / "a1.py", "revision = 'a1'\ndown_revision = None\n")
    assert list(alembic_files(tmp_path)) == ["a1"]


def test_another_programs_packages_are_not_searched(tmp_path: Path) -> None:
    for place in ("node_modules/x", ".venv/lib", "lib/site-packages/y"):
        write(tmp_path / place / "migrations/env.py", "")
        write(tmp_path / place / "migrations/versions/a1.py", "revision = 'a1'")
    assert READERS["alembic"](Folder.open(str(tmp_path))) is None


def test_an_app_may_name_itself(tmp_path: Path) -> None:
    write(tmp_path / "shop/apps.py", "class ShopConfig(AppConfig):\n    name = 'x.shop'\n    label = 'store'\n")
    write(tmp_path / "shop/migrations/0001_initial.py", "class Migration(migrations.Migration):\n    initial = True\n")
    project = READERS["django"](Folder.open(str(tmp_path)))
    assert project is not None
    assert (project.files[0].revision, project.apps) == ("store.0001_initial", {"store"})


def test_computed_dependencies_are_left_out(tmp_path: Path) -> None:
    computed = "migrations.swappable_dependency(settings.AUTH_USER_MODEL)"
    body = f"dependencies = [('shop', '0001'), {computed}, ('a', '__first__')]"
    write(tmp_path / "shop/migrations/0002.py", f"class Migration(migrations.Migration):\n    {body}\n")
    project = READERS["django"](Folder.open(str(tmp_path)))
    assert project is not None
    assert project.files[0].follows == ("shop.0001",)


def test_several_prisma_folders_are_said(tmp_path: Path) -> None:
    for place in ("a", "b"):
        write(tmp_path / place / "prisma/migrations/1_init/migration.sql", "SELECT 1;")
    project = READERS["prisma"](Folder.open(str(tmp_path)))
    assert project is not None
    assert "a/prisma/migrations was read, not b/prisma/migrations" in str(project.problems[0])

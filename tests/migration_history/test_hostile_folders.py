"""Project folders that are broken or meant badly end in sentences, never in a crash or outside the folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dbadmin.engines.base import ToolHistory
from dbadmin.migration_history import project as bounds
from dbadmin.migration_history.by_heads import judge_heads
from dbadmin.migration_history.project import Folder, Project, Unreadable
from dbadmin.migration_history.readers import READERS

FILE = 'revision = "{name}"\ndown_revision = {after!r}\n'


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    versions = tmp_path / "project/migrations/versions"
    versions.mkdir(parents=True)
    (versions.parent / "env.py").touch()
    (versions / "a1.py").write_text(FILE.format(name="a1", after=None))
    return versions


def read(tmp_path: Path, tool: str = "alembic") -> Project:
    project = READERS[tool](Folder.open(str(tmp_path / "project")))
    assert project is not None
    return project


def problems(project: Project) -> str:
    return " ".join(map(str, project.problems))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"def (", "is not valid Python"),
        (b"\xff\xfe", "is not valid Python"),
        (b"a = 1\0", "is not valid Python"),
        (b"x = " + b"-" * 200_000 + b"1", "is not valid Python"),
        (b"x = " + b"(" * 100_000, "is not valid Python"),
        (b"x = " + b"1 + " * 200_000 + b"1", "is not valid Python"),
        (b"# " + b"x" * 2_000_000, "is larger than"),
        (b"import os\n", "names no revision"),
        (b"revision = 5\n", "names no revision"),
        (b"revision = 'b2'\ndown_revision = os.environ['X']\n", "computes what it follows"),
        (b"revision = 'a1'\n", "Two files have the revision a1"),
    ],
)
def test_a_broken_file_is_a_sentence_and_the_others_are_read(
    versions: Path, tmp_path: Path, content: bytes, sentence: str
) -> None:
    (versions / "b2.py").write_bytes(content)
    project = read(tmp_path)
    assert sentence in problems(project)
    assert [file.revision for file in project.files] == ["a1"]


def test_a_link_out_of_the_folder_is_not_followed(versions: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text(FILE.format(name="secret", after=None))
    (versions / "b2.py").symlink_to(tmp_path / "secret.py")
    project = read(tmp_path)
    assert "leads out of the project folder" in problems(project)
    assert [file.revision for file in project.files] == ["a1"]


def test_a_versions_folder_outside_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.py").write_text(FILE.format(name="x", after=None))
    (tmp_path / "project/alembic.ini").write_text("[alembic]\nversion_locations = %(here)s/../elsewhere\n")
    project = read(tmp_path)
    assert (project.files, "leads out" in problems(project)) == ((), True)


def test_a_link_to_itself_and_a_pipe_do_not_hang(versions: Path, tmp_path: Path) -> None:
    (versions / "loop.py").symlink_to(versions / "loop.py")
    os.mkfifo(versions / "pipe.py")
    assert "pipe.py is not a file" in problems(read(tmp_path))


def test_a_circle_is_a_sentence(versions: Path, tmp_path: Path) -> None:
    (versions / "a1.py").write_text(FILE.format(name="a1", after="b2"))
    (versions / "b2.py").write_text(FILE.format(name="b2", after="a1"))
    reading = judge_heads(ToolHistory(tool="alembic", rows=(), heads=("b2",)), read(tmp_path), {})
    assert "in a circle: a1, b2" in str(reading.problem_with([]))
    assert reading.applied == 2


def test_too_many_files_are_not_read(versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_FILES", 3)
    for number in range(4):
        (versions / f"x{number}.py").touch()
    assert "holds more than 3 files" in problems(read(tmp_path))


def test_too_many_folders_are_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_FOLDERS", 5)
    for number in range(9):
        (tmp_path / f"project/f{number}").mkdir(parents=True)
    folder = Folder.open(str(tmp_path / "project"))
    assert len(folder.folders) == 5
    assert "more than 5 folders" in str(folder.problems[0])


@pytest.mark.parametrize("path", ["/nowhere", "relative/nowhere", "a\0b"])
def test_a_folder_that_is_not_there_is_a_sentence(path: str) -> None:
    with pytest.raises(Unreadable):
        Folder.open(path)


def test_a_name_that_is_no_text_is_made_storable(tmp_path: Path) -> None:
    place = tmp_path / "project/prisma/migrations"
    (place / os.fsdecode(b"1_\xff")).mkdir(parents=True)
    (place / os.fsdecode(b"1_\xff") / "migration.sql").touch()
    assert read(tmp_path, "prisma").files[0].revision == "1_?"


def test_broken_settings_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/alembic.ini").write_text("no section\n")
    assert "is not a configuration of Alembic" in problems(read(tmp_path))

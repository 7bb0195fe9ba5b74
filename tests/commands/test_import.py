from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import call_command

from dbadmin.models import Database, Import, Job
from tests.sqlite_file import make_sqlite_file, sqlite_database


@pytest.fixture
def server(db: None, tmp_path: Path) -> Database:
    return sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")


def run(*arguments: str) -> int:
    try:
        call_command("restore", "run", *arguments)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_a_file_becomes_a_new_database(server: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = make_sqlite_file(tmp_path / "old.db", rows=7)
    assert run("--file", str(old), "--server", "shop", "--to-new", "copy.db", "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["import"]["state"] == "imported"
    assert result["import"]["row_count"] == 7
    assert old.exists()
    assert (tmp_path / "copy.db").exists()


def test_a_broken_file_is_a_sentence(server: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old.db").write_bytes(b"\x1f\x8b\x08\0broken")
    assert run("--file", str(tmp_path / "old.db"), "--server", "shop", "--to-new", "copy.db") == 2
    assert "damaged or was cut off" in capsys.readouterr().err
    assert run("--file", str(tmp_path / "none.db"), "--server", "shop", "--to-new", "copy.db") == 2
    assert "No such file" in capsys.readouterr().err
    assert not Job.objects.exists()


def test_what_exists_is_refused_before_there_is_a_job(server: Database, tmp_path: Path) -> None:
    old = make_sqlite_file(tmp_path / "old.db")
    assert run("--file", str(old), "--server", "shop", "--to-new", "shop.db") == 5
    assert not Job.objects.exists()
    assert not Import.objects.exists()


@pytest.mark.parametrize(
    "arguments", [["--to-new", "x"], ["7", "--file", "x", "--to-new", "x"], ["--file", "x", "--replace"]]
)
def test_a_backup_or_a_file_has_to_be_named(server: Database, arguments: list[str]) -> None:
    assert run(*arguments) == 4

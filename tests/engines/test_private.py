"""No web admin reaches our keys by calling them a database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps

from dbadmin.engines import get_engine, private
from dbadmin.exceptions import Refused
from dbadmin.progress import Silent

FILES, SQLITE = get_engine("files"), get_engine("sqlite")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "srv" / "home"
    (home / "samples" / "config").mkdir(parents=True)
    (home / "secret_key").write_text("hush")
    (home / "samples" / "config" / "a.json").write_text("{}")
    private.configure(protected=(home, tmp_path / "catalogue.sqlite3"), exceptions=(home / "samples",))
    yield home
    apps.get_app_config("dbadmin").ready()


def folder(path: Path, pattern: str = "*") -> dict[str, object]:
    return {"folder": str(path), "required": [pattern]}


@pytest.mark.parametrize("place", ["srv/home", "srv/home/", "srv/home/archives", "link", "link/samples/.."])
def test_the_home_folder_is_no_source(home: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "link").symlink_to(home)
    with pytest.raises(Refused, match="belongs to dbadmin"):
        FILES.connection(folder(tmp_path / place))
    with pytest.raises(Refused, match="belongs to dbadmin"):
        SQLITE.connection({"path": f"{tmp_path / place}/x.sqlite3"})


def test_the_catalogue_and_the_environment_of_our_process_are_none_either(home: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        SQLITE.connection({"path": str(tmp_path / "catalogue.sqlite3")})
    with pytest.raises(Refused):
        FILES.connection(folder(Path("/proc/self"), "environ"))


def test_a_pattern_from_above_does_not_reach_in(home: Path, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    above = FILES.connection(folder(tmp_path / "srv", "home/*_key"))
    with pytest.raises(Refused):
        FILES.dump(above, scope="full", spool=tmp_path / "spool", progress=Silent())
    assert not list((tmp_path / "spool").iterdir())


def test_nothing_is_restored_into_it(home: Path, tmp_path: Path) -> None:
    (tmp_path / "in").symlink_to(home)
    for engine, settings in ((FILES, folder(tmp_path / "cfg")), (SQLITE, {"path": str(tmp_path / "a.db")})):
        for name in (f"{home}/new", f"{tmp_path}/in/new"):
            with pytest.raises(Refused):
                engine.new_target(engine.connection(settings), name)


def test_a_folder_around_it_is_not_replaced(home: Path, tmp_path: Path) -> None:
    above = FILES.connection(folder(tmp_path / "srv", "*.json"))
    with pytest.raises(Refused, match="is inside"):
        FILES.intend(above, candidate="new", kept="old")


def test_the_samples_of_quickstart_are_a_source(home: Path) -> None:
    connection = FILES.connection(folder(home / "samples" / "config"))
    assert [entry["path"] for entry in FILES.snapshot(connection).values["files"]] == ["a.json"]
    assert FILES.new_target(connection, "copy").root == home / "samples" / "copy"

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from dbadmin.engines.postgresql import clients, fetch
from dbadmin.engines.postgresql.clients import ClientSet, dump_client, restore_client
from dbadmin.exceptions import Refused, ToolMissing, ValidationFailed
from tests.engines.postgresql.conftest import MakeDatabase, dump
from tests.servers import CACHE, Servers


def sets(*versions: str) -> list[ClientSet]:
    return [
        ClientSet(
            major=clients.version_major(version),
            version=version,
            folder=Path("/programs", version),
            knows_zstd=not version.startswith("15"),
            origin="system",
        )
        for version in versions
    ]


@pytest.mark.parametrize(
    ("server", "here", "chosen"),
    [
        (13, ("15.18", "16.15", "17.11"), "16.15"),
        (15, ("15.18", "17.11"), "15.18"),
        (14, ("15.18", "18.6"), "15.18"),
        (16, ("15.18", "16.15"), "16.15"),
        (17, ("16.15", "17.11", "18.6"), "17.11"),
        (18, ("17.11", "18.6"), "18.6"),
    ],
)
def test_the_client_fits_the_server(server: int, here: tuple[str, ...], chosen: str) -> None:
    assert dump_client(server, sets(*here)).version == chosen


@pytest.mark.parametrize(("server", "here"), [(16, "15.18"), (17, "18.6"), (18, "17.11"), (15, "17.11")])
def test_an_unfit_client_is_named_with_what_to_do(server: int, here: str) -> None:
    with pytest.raises(ToolMissing) as caught:
        dump_client(server, sets(here))
    assert here in str(caught.value.message)
    assert f"manage.py clients install {max(server, 16)}" in str(caught.value.hint)


def test_the_version_that_dumped_restores() -> None:
    assert restore_client(18, "16.9", sets("15.18", "16.15", "18.6")).version == "16.15"
    with pytest.raises(ToolMissing):
        restore_client(18, "17.1", sets("16.15", "18.6"))
    with pytest.raises(Refused, match="PostgreSQL 17 cannot"):
        restore_client(16, "17.11", sets("17.11"))


def test_only_known_versions_are_fetched(tmp_path: Path) -> None:
    with pytest.raises(ValidationFailed, match="16, 17, 18"):
        fetch.install(12, tmp_path)


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    folder = fetch.fetched_folder(tmp_path, 16)
    folder.mkdir(parents=True)
    words = "pg_dump: error while loading shared libraries: libzstd.so.1: cannot open shared object file"
    for name in ("pg_dump", "postgres"):
        (folder / name).write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 127\n")
        (folder / name).chmod(0o755)
    with pytest.raises(ToolMissing, match=r"lacks the library libzstd\.so\.1"):
        fetch.install(16, tmp_path)


@pytest.fixture
def configured_again() -> Iterator[None]:
    yield
    clients.configure(settings.POSTGRESQL_BIN, fetched=CACHE, jobs=2)


def test_programs_that_do_not_run_and_wrappers_are_no_clients(tmp_path: Path, configured_again: None) -> None:
    for name in clients.PROGRAMS:
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    clients.configure([tmp_path])
    assert tmp_path not in [client.folder for client in clients.find_clients()]


@pytest.mark.postgresql
def test_a_client_without_zstd_dumps_with_gzip(
    servers: Servers, make_database: MakeDatabase, tmp_path: Path, configured_again: None
) -> None:
    source = make_database(servers[15], "CREATE TABLE t AS SELECT 1 AS id")
    clients.configure([Path("/usr/lib/postgresql/15/bin")])
    if dump_client(15).major != 15:
        pytest.skip("Another client than 15 is on this machine's path and goes first.")
    made = dump(source, tmp_path)
    assert made.client_version.startswith("15.")
    assert list((tmp_path / "dump").glob("*.dat.gz"))


@pytest.mark.postgresql
def test_the_command_lists_the_clients(servers: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("clients", "list", "--json")
    results = json.loads(capsys.readouterr().out)["results"]
    assert {"major": 16, "zstd": True} in [{key: row[key] for key in ("major", "zstd")} for row in results]

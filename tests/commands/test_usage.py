"""A command that is called wrongly says so with the exit code of wrong usage, never with that of a critical finding."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.management import execute_from_command_line

from dbadmin.management.command import DONE, USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ("backup", "show", "abc"),
        ("backup",),
        ("jobs", "cancel"),
        ("check_health", "--nothing"),
        ("clients", "install", "9"),
    ],
)
def test_wrong_usage_is_not_a_critical_result(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        execute_from_command_line(["manage.py", *arguments])
    assert leaving.value.code == USAGE
    assert f"usage: manage.py {arguments[0]}" in capsys.readouterr().err


def test_asking_for_help_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        execute_from_command_line(["manage.py", "backup", "show", "--help"])
    assert leaving.value.code == DONE
    assert "usage: manage.py backup show" in capsys.readouterr().out


def test_wrong_usage_is_a_document_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["backup", "frob", "--json"],
        ["storages", "add", "--json"],
        ["drill", "run", "--nope", "--json"],
    ):
        with pytest.raises(SystemExit) as leaving:
            execute_from_command_line(["manage.py", *arguments])
        assert leaving.value.code == USAGE
        said = capsys.readouterr()
        document = json.loads(said.out)
        assert (document["results"], document["error"]["class"]) == ([], "UsageError")
        assert document["error"]["message"] in said.err
        assert "usage: " in said.err


def test_a_reader_who_has_read_enough_is_no_error() -> None:
    command = f"{sys.executable} manage.py clients list | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], cwd=settings.BASE_DIR, capture_output=True, text=True)
    assert "Traceback" not in ended.stderr

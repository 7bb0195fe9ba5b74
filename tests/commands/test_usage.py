"""A command that is called wrongly says so with the exit code of wrong usage, never with that of a critical finding."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.management import execute_from_command_line

from dbadmin.management.command import DONE, USAGE
from tests.factories import make_database


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


@pytest.mark.parametrize(
    "line",
    [
        "schedules add --name n --all --every day --time 25:00",
        "schedules add --name n --all --every month --day 32",
        "schedules add --name n --all --every hour --minute 99",
        "schedules add --name n --all --every day --time-zone No/Where",
        "schedules add --name n --all --every day --retries -1",
        "schedules add --name n --all --every day --retries 99999999999",
        "schedules add --name n --all --expression 'x y z'",
        "schedules next --limit -1",
        "schedules show n --count 0",
        "backup list --limit -1",
        "backup list --limit 99999999999999999999999",
        "backup show 99999999999999999999999",
        "jobs list --limit -1",
        "restore list --limit 0",
        "maintain --step nope",
        "databases add X --application A --url nonsense",
        "databases add X --application A --url postgresql://a@b:99999/x",
        "databases add X --application A --host h --port 0",
        "databases add X --application A --host h --dbname d --user u --sslmode nope --no-input",
        "databases add X --application A --path /none --required '../*'",
        "databases add X --application A --path /none --facts-seconds -5",
        "storages add x --set path=relative",
        "storages add x --set path=/none --quota-gb many",
        "storages add x --set path=/none --quota-gb -1",
        "storages add x --set path=/none --cost NaN",
        "storages add x --set path=/none --bandwidth-kb -1",
        "drill history --limit -1",
        "drill expect shop n freshness 'SELECT 1' --max-age-hours nan",
        "tick --every 0",
        "worker --workers -1",
        "serve --port 70000",
    ],
)
@pytest.mark.django_db
def test_a_value_that_cannot_be_is_wrong_usage_and_a_document(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_database(slug="shop")
    with pytest.raises(SystemExit) as leaving:
        execute_from_command_line(["manage.py", *shlex.split(line), "--json"])
    assert leaving.value.code == USAGE
    document = json.loads(capsys.readouterr().out)
    assert (document["results"], document["error"]["class"]) == ([], "UsageError")
    assert document["error"]["message"]


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

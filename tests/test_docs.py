"""README tells the truth: its commands parse, its settings are the settings."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"uv run (?:--no-dev )?manage\.py ([^`\n;]+)", README)))


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_readme_is_understood(line: str) -> None:
    name, *arguments = shlex.split(line)
    command = load_command_class(get_commands()[name], name)
    command.create_parser("manage.py", name).parse_args(arguments)


def test_every_setting_is_in_readme_and_no_other() -> None:
    read = set(re.findall(r'(?:env\.\w+\(|\(env, )"(\w+)"', (ROOT / "project/settings.py").read_text()))
    told = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
    assert told == read


def test_every_picture_and_page_that_readme_names_is_there() -> None:
    linked = re.findall(r"\]\(((?:docs|static)/[^)]+)\)", README)
    assert linked
    assert [name for name in linked if not (ROOT / name).exists()] == []


def test_the_newest_version_of_the_changelog_is_ours() -> None:
    version = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version
    assert newest
    assert newest[1] == version[1]

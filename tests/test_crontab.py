"""The one line that cron gets, added, run as cron runs it, and removed: in the crontab of a user who has none."""

from __future__ import annotations

import os
import pwd
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import absent

ROOT = Path(__file__).parent.parent
CRONTAB = "crontab -u nobody"
Manage = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "家 with 100% 'quotes'"


@pytest.fixture
def manage(home: Path) -> Iterator[Manage]:
    if os.geteuid() or not shutil.which("crontab"):
        absent("The crontab test needs cron and root, which may edit the crontab of another user.")
    if installed():
        absent("The user nobody has a crontab; it is left alone.")

    def run(*arguments: str) -> str:
        variables = {"DBADMIN_TEST_HOME": str(home), "DJANGO_SETTINGS_MODULE": "tests.settings"}
        plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env={**plain, **variables, "DBADMIN_TEST_CRONTAB": CRONTAB}, check=True,
            capture_output=True, text=True,
        ).stdout  # fmt: skip

    yield run
    subprocess.run([*CRONTAB.split(), "-r"], capture_output=True, check=False)


def installed() -> list[str]:
    listed = subprocess.run([*CRONTAB.split(), "-l"], capture_output=True, text=True, check=False).stdout
    return [line for line in listed.splitlines() if line and not line.startswith("#")]


def as_cron_runs_it(line: str) -> subprocess.CompletedProcess[str]:
    """A % that is not escaped ends the command; nothing is in the environment but this."""
    command = line.split(maxsplit=5)[5].replace("\\%", "\0").partition("%")[0].replace("\0", "%")
    home = pwd.getpwuid(os.geteuid()).pw_dir
    plain = {"HOME": home, "LOGNAME": "root", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    return subprocess.run(["/bin/sh", "-c", command], cwd="/", env=plain, capture_output=True, text=True, check=False)


def test_the_line_is_added_once_ticks_and_is_removed(manage: Manage, home: Path) -> None:
    manage("migrate", "--verbosity", "0")
    manage("crontab", "add")
    [line] = installed()
    assert line.startswith("* * * * * ")
    with sqlite3.connect(home / "catalogue.sqlite3") as catalogue:
        catalogue.execute("INSERT INTO dbadmin_application (name, slug, description) VALUES ('a', 'a', '')")
        catalogue.execute(
            "INSERT INTO dbadmin_database (application_id, name, slug, engine, environment, source, settings, "
            "encrypted_password, project_folder, backup_age_hours, restore_minutes, facts_level, facts_seconds, "
            "failed_probes, created_at) "
            "VALUES (1, 'd', 'd', 'files', 'production', 'fields', '{}', '', '', 26, 60, 'counts', 0, 0, '2026-01-01')"
        )
    done = as_cron_runs_it(line)
    assert (done.returncode, done.stderr) == (0, "")
    with sqlite3.connect(home / "catalogue.sqlite3") as catalogue:
        assert catalogue.execute("SELECT COUNT(*) FROM dbadmin_job").fetchone()[0] == 2
    manage("crontab", "remove")
    assert installed() == []

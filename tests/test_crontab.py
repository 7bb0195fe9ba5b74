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

    def run(*arguments: str, allowed: tuple[int, ...] = (0,)) -> str:
        variables = {"DBADMIN_TEST_HOME": str(home), "DJANGO_SETTINGS_MODULE": "tests.settings"}
        plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env={**plain, **variables, "DBADMIN_TEST_CRONTAB": CRONTAB}, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode in allowed, done.stdout + done.stderr
        return done.stdout

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


def add_a_database(home: Path) -> None:
    with sqlite3.connect(home / "catalogue.sqlite3") as catalogue:
        catalogue.execute("INSERT INTO dbadmin_application (name, slug, description) VALUES ('a', 'a', '')")
        catalogue.execute(
            "INSERT INTO dbadmin_database (application_id, name, slug, engine, environment, source, settings, "
            "encrypted_password, project_folder, backup_age_hours, restore_minutes, facts_level, facts_seconds, "
            "labels, site, is_catalogue, failed_probes, created_at) "
            "VALUES (1, 'd', 'd', 'files', 'production', 'fields', '{}', '', '', 26, 60, 'counts', 0, '', '', 0, 0, "
            "'2026-01-01')"
        )


def rows(home: Path, sql: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(home / "catalogue.sqlite3") as catalogue:
        return catalogue.execute(sql).fetchall()


def write_crontab(text: str) -> None:
    subprocess.run([*CRONTAB.split(), "-"], input=text, text=True, check=True)


def read_crontab() -> str:
    return subprocess.run([*CRONTAB.split(), "-l"], capture_output=True, text=True, check=False).stdout


def test_the_line_is_added_once_ticks_and_is_removed(manage: Manage, home: Path) -> None:
    manage("migrate", "--verbosity", "0")
    add_a_database(home)
    for _again in range(2):
        manage("schedules", "install", allowed=(0, 1))  # 1 where no cron runs
    [line] = installed()
    assert line.startswith("* * * * * ")
    done = as_cron_runs_it(line)
    assert (done.returncode, done.stderr) == (0, "")
    of_both = "SELECT kind, slug FROM dbadmin_job j JOIN dbadmin_database d ON d.id = j.database_id ORDER BY slug, kind"
    assert [row for row in rows(home, of_both) if row[0] in ("health", "history")] == [
        ("health", "d"), ("history", "d"), ("health", "dbadmin-catalogue"), ("history", "dbadmin-catalogue"),
    ]  # fmt: skip
    assert rows(home, "SELECT name FROM dbadmin_schedule") == [("Catalogue of dbadmin",)]
    manage("schedules", "uninstall")
    assert installed() == []
    assert len(list((home / "crontabs").iterdir())) == 3


def test_every_other_line_stays_as_it_is(manage: Manage, home: Path) -> None:
    others = (
        "# note\tof mine\nMAILTO=a@example.org\n\n5 4 * * *   true % 'a b' \\% # 日本\n7 * * * * x # dbadmin 0123\n"
    )
    write_crontab(others)
    manage("migrate", "--verbosity", "0")
    manage("schedules", "install", allowed=(0, 1))
    before, ours = read_crontab().split("* * * * * cd ", 1)
    assert (before, ours.count("\n")) == (others, 1)
    assert manage("schedules", "status", allowed=(0, 1)).startswith("* * * * * cd ")
    manage("schedules", "uninstall")
    assert read_crontab() == others
    assert others in [copy.read_text() for copy in (home / "crontabs").iterdir()]


def test_the_line_of_another_version_is_told_and_renewed(manage: Manage, home: Path) -> None:
    manage("migrate", "--verbosity", "0")
    manage("schedules", "install", allowed=(0, 1))
    [line] = installed()
    write_crontab(line.replace("crontab run", "crontab run 0") + "\n1 1 1 1 1 other\n")
    assert "not the one that is needed" in manage("schedules", "status", allowed=(2,))
    manage("schedules", "install", allowed=(0, 1))
    assert sorted(installed()) == sorted([line, "1 1 1 1 1 other"])


@pytest.fixture
def broken(tmp_path: Path, home: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Install with a program of another behaviour in place of crontab; ``$FILE`` has what it keeps."""
    file = tmp_path / "kept"
    file.write_text("1 1 1 1 1 precious\n")

    arguments = [sys.executable, "manage.py", "schedules", "install"]

    def install(script: str) -> subprocess.CompletedProcess[str]:
        program = tmp_path / "crontab"
        program.write_text(f"#!/bin/sh\nFILE={file}\n{script}\n")
        program.chmod(0o755)
        variables = {
            "DBADMIN_TEST_HOME": str(home),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PATH": os.environ["PATH"],
        }
        done = subprocess.run(
            arguments, cwd=ROOT, capture_output=True, text=True, check=False,
            env=variables | {"DBADMIN_TEST_CRONTAB": str(program), "HOME": str(tmp_path)},
        )  # fmt: skip
        assert file.read_text() == "1 1 1 1 1 precious\n"
        return done

    return install


LIST = 'if [ "$1" = -l ]; then cat $FILE; exit; fi'


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("echo cannot open: Permission denied >&2; exit 1", 5, "cannot be read"),
        ("exit 1", 5, "cannot be read"),
        ("exit 3", 2, "crontab"),
        ('printf "\\377\\n"', 5, "UTF-8"),
        (f"{LIST}; exit 1", 2, "is again what it was before"),
        (f"{LIST}; exit 0", 2, "is again what it was before"),
        (
            f'{LIST}; grep -q precious "$1" && ! grep -q dbadmin "$1" && cp "$1" $FILE; exit 0',
            2,
            "is again what it was",
        ),
        (
            f'{LIST}; if grep -q dbadmin "$1"; then tail -n 1 "$1" > $FILE; else cp "$1" $FILE; fi',
            2,
            "is again what it",
        ),
    ],
)
def test_a_crontab_that_does_not_do_as_it_says_loses_nothing(
    broken: Callable[[str], subprocess.CompletedProcess[str]], script: str, code: int, said: str
) -> None:
    done = broken(script)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_without_cron_the_sentence_names_the_other_ways(home: Path, tmp_path: Path) -> None:
    variables = {"DBADMIN_TEST_HOME": str(home), "DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "manage.py", "schedules", "status"], cwd=ROOT, capture_output=True, text=True, check=False,
        env=variables | {"DBADMIN_TEST_CRONTAB": str(tmp_path / "none"), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, "let the worker tick" in done.stderr) == (2, True)


def test_the_systemd_units_quote_what_systemd_would_expand(home: Path, tmp_path: Path) -> None:
    variables = {"DBADMIN_TEST_HOME": str(home), "DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": os.environ["PATH"]}
    said = subprocess.run(
        [sys.executable, "manage.py", "schedules", "systemd"], cwd=ROOT, capture_output=True, text=True, check=True,
        env=variables | {"HOME": str(tmp_path)},
    ).stdout  # fmt: skip
    assert f'Environment="DBADMIN_HOME={str(home).replace("%", "%%")}"' in said
    assert f'ExecStart="{sys.executable}" "{ROOT}/manage.py" tick' in said
    assert "OnCalendar=*-*-* *:*:00" in said

"""The real cron of Debian ticks: the line is installed, the daemon runs for three minutes at most, rows are there."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.servers import absent

ROOT = Path(__file__).parent.parent
LONGEST_SECONDS = 180
DAEMON_NAMES = ("cron", "crond")


def manage(home: Path, *arguments: str, allowed: tuple[int, ...] = (0,)) -> str:
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=plain | {"DBADMIN_HOME": str(home)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in allowed, done.stdout + done.stderr
    return done.stdout


def crontab() -> str:
    return subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False).stdout


def is_cron_running() -> bool:
    names = (path.read_text().strip() for path in Path("/proc").glob("[0-9]*/comm") if path.exists())
    return any(name in DAEMON_NAMES for name in names)


@pytest.fixture
def daemon() -> Iterator[None]:
    """The machine's own, or one that is started and ended here."""
    if os.environ.get("CI") != "true" and os.environ.get("DBADMIN_TEST_CRON") != "1":
        pytest.skip("It takes up to three minutes and uses this user's crontab; set DBADMIN_TEST_CRON=1 for it.")
    if os.geteuid() or not shutil.which("crontab") or not Path("/usr/sbin/cron").exists():
        absent("The cron test needs cron, and root to start it.")
    started = None if is_cron_running() else subprocess.Popen(["/usr/sbin/cron", "-f"], start_new_session=True)
    yield
    if started is not None:
        started.terminate()
        started.wait(10)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home, before = tmp_path / "家 with 100% 'quotes'", crontab()
    yield home
    if (home / "crontabs").exists():
        manage(home, "schedules", "uninstall")
    assert crontab() == before


def minutes(home: Path) -> list[datetime]:
    """Return the moments that were noticed when they came."""
    with sqlite3.connect(home / "catalogue.sqlite3", timeout=30) as catalogue:
        sql = "SELECT DISTINCT due_at FROM dbadmin_schedulerun WHERE state != 'missed' ORDER BY due_at"
        rows = catalogue.execute(sql).fetchall()
    return [datetime.fromisoformat(due_at) for (due_at,) in rows]


def test_the_daemon_ticks_in_two_minutes_on_end(daemon: None, home: Path, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/a.json").write_text("{}")
    manage(home, "migrate", "--verbosity", "0")
    place = ("--engine", "files", "--path", str(tmp_path / "config"), "--required", "*.json")
    manage(home, "databases", "add", "Config", "--application", "App", *place)
    manage(home, "schedules", "add", "--name", "often", "--all", "--expression", "* * * * *", "--kind", "health")
    assert manage(home, "schedules", "install").count("* * * * *") == 1  # 0, not 1: the daemon is seen
    until = time.monotonic() + LONGEST_SECONDS
    while True:
        found = minutes(home)
        if any(later - earlier == timedelta(minutes=1) for earlier, later in pairwise(found)):
            return
        assert time.monotonic() < until, f"cron made rows for {found} only"
        time.sleep(1)

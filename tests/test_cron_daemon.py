"""The real cron of Debian ticks: the line is installed, the daemon runs for three minutes, each has its row."""

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
IN_A_ROW = 3
LONGEST_SECONDS = 420
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
    return any(_name(path) in DAEMON_NAMES for path in Path("/proc").glob("[0-9]*/comm"))


def _name(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # the process has ended meanwhile
        return ""


@pytest.fixture
def daemon() -> Iterator[None]:
    """The machine's own, or one that is started and ended here."""
    if os.environ.get("CI") != "true" and os.environ.get("DBADMIN_TEST_CRON") != "1":
        pytest.skip("It takes three minutes and uses this user's crontab; set DBADMIN_TEST_CRON=1 for it.")
    if os.geteuid() or not shutil.which("crontab") or not Path("/usr/sbin/cron").exists():
        absent("The cron test needs cron, and root to start it.")
    started = None if is_cron_running() else subprocess.Popen(["/usr/sbin/cron", "-f"], start_new_session=True)
    yield
    if started is not None:
        started.terminate()
        started.wait(120)


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


def in_a_row(moments: list[datetime]) -> int:
    """Return the most moments that follow each other by a minute."""
    longest = run = 1 if moments else 0
    for earlier, later in pairwise(moments):
        run = run + 1 if later - earlier == timedelta(minutes=1) else 1
        longest = max(longest, run)
    return longest


def test_the_daemon_ticks_in_three_minutes_on_end(daemon: None, home: Path, tmp_path: Path) -> None:
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
        if in_a_row(found) >= IN_A_ROW:
            return
        assert time.monotonic() < until, f"cron made rows for {found} only"
        time.sleep(1)

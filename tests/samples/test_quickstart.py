"""quickstart from the outside: a process with a home folder, a port and signals."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dbadmin.engines.postgresql.cluster import free_port
from project import home as home_module

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 300
pytestmark = pytest.mark.postgresql


@dataclass
class Started:
    """A quickstart that serves."""

    home: Path
    port: int
    process: subprocess.Popen[str] = field(init=False)
    output: str = ""

    def __post_init__(self) -> None:
        self.process = start(self.home, "--port", str(self.port))

    def page(self, path: str = "login/") -> int:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(self.address + path, timeout=60) as answer:
                return int(answer.status)
            time.sleep(0.05)
        raise AssertionError(self.process.communicate()[0] if self.process.poll() is not None else "no answer")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def read_block(self) -> str:
        """Read what it prints until the last line of the block."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if self.output.count("────") and line.startswith("────") and "Ctrl-C" in self.output:
                break
        return self.output

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.output += self.process.communicate(timeout=PATIENCE)[0]
        return self.process.returncode


def start(home: Path, *options: str) -> subprocess.Popen[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("DBADMIN_")}
    variables |= {"DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "manage.py", "quickstart", "--home", str(home), *options],
        cwd=ROOT,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if "--json" not in options else subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def run(home: Path, *options: str) -> tuple[int, str]:
    process = start(home, *options)
    output = process.communicate(timeout=2 * PATIENCE)[0]
    return process.returncode, output


def processes_of(home: Path) -> list[int]:
    """Find every living process that names the home folder in its arguments, environment or working folder."""
    mark = os.fsencode(home)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            if mark in told or mark in os.fsencode(os.readlink(folder / "cwd")):
                found.append(int(folder.name))
    return found


def gone(home: Path, *, within: float = 120) -> bool:
    until = time.monotonic() + within
    while processes_of(home) and time.monotonic() < until:
        time.sleep(0.1)
    return not processes_of(home)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home with an awkward name in a folder that the server's user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="dbadmin-quickstart-"))
    folder.chmod(0o755)
    home = folder / "ホーム, it's 100%20 home"
    yield home
    for pid in processes_of(home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def test_once_backs_up_restores_and_compares(home: Path) -> None:
    code, output = run(home, "--once", "--json")
    results = json.loads(output)["results"]
    assert (code, [step["result"] for step in results if not step["ok"]]) == (0, [])
    assert len({step["database"] for step in results if step["action"] == "backup"}) == 6
    assert {step["engine"] for step in results if step["action"] == "restore"} == {"postgresql", "sqlite"}
    assert (home / "samples" / "mangaanime-once.sqlite3").is_file()
    assert gone(home)


def test_once_says_what_failed(home: Path) -> None:
    broken = home / "samples/comet-bot/config/members.json"
    content = broken.read_bytes()
    broken.write_text('{"a": ')
    code, output = run(home, "--once")
    broken.write_bytes(content)
    assert code == 2
    assert "members.json" in output
    assert "Something went wrong" in output
    assert gone(home)


def test_serves_until_it_is_interrupted_and_shows_the_password_once(home: Path) -> None:
    serving = Started(home, free_port())
    assert serving.page() == 200
    assert serving.address in serving.read_block()
    assert "only this once" in serving.output
    code, refusal = run(home)
    assert code == 5
    assert "A quickstart is running in" in refusal
    assert serving.page() == 200
    assert serving.interrupt() == 0
    assert gone(home)
    assert (home / "catalogue.sqlite3").stat().st_mode & 0o077 == 0


def test_starts_again_after_everything_was_killed_with_the_port_taken(home: Path) -> None:
    killed = Started(home, free_port())
    assert killed.page() == 200
    killed.process.kill()
    killed.process.communicate(timeout=PATIENCE)
    for pid in processes_of(home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        serving = Started(home, port)
        block = serving.read_block()
        assert f"Port {port} is in use" in block
        assert "changepassword admin" in block
        assert "Made the PostgreSQL databases" not in block
        serving.process.terminate()
        serving.process.communicate(timeout=PATIENCE)
    assert serving.process.returncode == 0
    assert gone(home)


def test_a_home_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, output = run(tmp_path / "file" / "home")
    assert code == 2
    assert "cannot be used" in output
    assert "Traceback" not in output


def test_home_is_chosen_before_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBADMIN_HOME", "/elsewhere")
    home_module.choose(["manage.py", "backup", "--home", "/a"])
    assert os.environ["DBADMIN_HOME"] == "/elsewhere"
    home_module.choose(["manage.py", "quickstart", "--once", "--home=/a b"])
    assert os.environ["DBADMIN_HOME"] == "/a b"

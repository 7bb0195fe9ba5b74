"""Programs are ended with everything they started, and never show a secret."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from dbadmin.exceptions import Cancelled, CommandFailed, ToolMissing
from dbadmin.process import Command, end_group_by_pid, start_time
from dbadmin.progress import Silent


class Impatient(Silent):
    """Cancels once the program has written a file."""

    def __init__(self, written: Path) -> None:
        self.written = written

    def check(self) -> None:
        if self.written.exists() and self.written.read_text().endswith("\n"):
            raise Cancelled


def has_ended(pid: int) -> bool:
    """Wait for the kernel's signal to arrive."""
    until = time.monotonic() + 120
    while start_time(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not start_time(pid)


def test_standard_output_and_error_are_kept_apart() -> None:
    out, said = io.BytesIO(), []
    assert Command(argv=("sh", "-c", "echo out; echo err >&2")).read() == "out\n"
    Command(argv=("sh", "-c", "echo one >&2; echo two >&2")).run(on_line=said.append)
    assert said == ["one", "two"]
    assert out.getvalue() == b""


def test_an_exit_code_is_never_overlooked() -> None:
    with pytest.raises(CommandFailed, match="exit code 3: error: no luck") as caught:
        Command(argv=("sh", "-c", "echo error: no luck >&2; exit 3")).run()
    assert caught.value.returned == 3


def test_a_missing_program_is_a_sentence() -> None:
    with pytest.raises(ToolMissing, match="pg_nothing"):
        Command(argv=("/nowhere/pg_nothing",)).run()


def test_a_secret_is_masked_in_what_a_program_says() -> None:
    said: list[str] = []
    Command(argv=("sh", "-c", 'echo "password is $P" >&2'), env={"P": "hunter2"}, secrets=("hunter2",)).run(
        on_line=said.append
    )
    assert said == ["password is ********"]
    assert "hunter2" not in repr(Command(argv=("x",), env={"P": "hunter2"}, secrets=("hunter2",)))


def test_our_own_environment_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    assert "hunter2" not in Command(argv=("env",)).read()


def test_cancel_ends_grandchildren_too(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    with pytest.raises(Cancelled):
        Command(argv=("sh", "-c", script)).run(progress=Impatient(tmp_path / "pid"))
    assert has_ended(int((tmp_path / "pid").read_text()))


def test_it_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    parent = (
        "import os, threading, time; from dbadmin.process import Command\n"
        f"child = Command(argv=('sleep', '60')).start(); open('{tmp_path}/pid', 'w').write(str(child.pid))\n"
        "time.sleep(0.3); os.kill(os.getpid(), 9)"
    )
    with pytest.raises(CommandFailed):
        Command(argv=(sys.executable, "-c", parent), cwd=Path(__file__).parent.parent).run()
    assert has_ended(int((tmp_path / "pid").read_text()))


def test_a_pid_that_was_used_again_is_left_alone() -> None:
    child = Command(argv=("sleep", "60")).start()
    assert not end_group_by_pid(child.pid, "12345")
    assert child.poll() is None
    assert end_group_by_pid(child.pid, start_time(child.pid))
    assert child.wait(120) == -9


def test_what_a_dead_program_left_in_its_group_is_ended(tmp_path: Path) -> None:
    process = Command(argv=("sh", "-c", "sleep 60 & echo $! > child; wait"), cwd=tmp_path).start()
    child_file = tmp_path / "child"
    while not (child_file.exists() and child_file.read_text().strip()):
        time.sleep(0.01)
    child, started = int(child_file.read_text()), start_time(process.pid)
    os.kill(child, signal.SIGSTOP)
    process.kill()
    process.wait()
    assert not end_group_by_pid(process.pid, str(int(start_time(child)) + 1))
    assert start_time(child)
    assert end_group_by_pid(process.pid, started)
    assert has_ended(child)
    assert not end_group_by_pid(process.pid, started)

"""The only user of subprocess: programs as data, with secrets in their environment only."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from dbadmin.exceptions import CommandFailed, ToolMissing
from dbadmin.progress import Progress, Silent
from dbadmin.text import Text

TAIL_LINES = 25
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.2
MASK = "********"


@dataclass(frozen=True, kw_only=True)
class Completed:
    """How a program ended: its exit code and the last lines it said on standard error."""

    exit_code: int
    tail: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program to run, never through a shell.

    ``env`` is added to a minimal environment (PATH, HOME, C.UTF-8 locale), not to ours. ``secrets`` are masked in
    every line that the program says. ``user`` is the uid and gid to run as, for programs that refuse root.
    ``death_signal`` is what the kernel sends the program when the thread that started it dies.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path | None = None
    user: tuple[int, int] | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    death_signal: str = "TERM"

    @property
    def program(self) -> str:
        """The program's own name, for sentences."""
        return Path(self.argv[0]).name

    def run(
        self,
        *,
        progress: Progress | None = None,
        on_line: Callable[[str], None] | None = None,
        on_poll: Callable[[], None] | None = None,
        stdout: IO[bytes] | None = None,
        allowed: tuple[int, ...] = (0,),
    ) -> Completed:
        """Run to the end in a session of its own and return how it ended.

        Standard error goes line by line to ``on_line``, standard output to ``stdout`` (else it is thrown away);
        ``on_poll`` is called about five times a second, in this thread. When ``progress`` raises, or any callback,
        the whole process group is ended before the exception passes. The program also ends when the calling thread
        does (Linux), so that thread has to stay until then.

        Raises ``ToolMissing`` when the program is not there, ``CommandFailed`` for an exit code not in ``allowed``.
        """
        watcher = progress or Silent()
        process = self._start(stdout or subprocess.DEVNULL)
        watcher.process(process.pid)
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        try:
            for line in self._lines(process, watcher, on_poll):
                tail.append(line)
                if on_line is not None:
                    on_line(line)
        finally:
            end_group(process)
            watcher.process(None)
        if process.returncode not in allowed:
            raise self._failure(process.returncode, tuple(tail))
        return Completed(exit_code=process.returncode, tail=tuple(tail))

    def read(self, *, progress: Progress | None = None) -> str:
        """Run to the end and return what it wrote on standard output; for short answers only."""
        with tempfile.TemporaryFile() as output:
            self.run(progress=progress, stdout=output)
            output.seek(0)
            return output.read().decode(errors="replace")

    def start(
        self,
        *,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program that stays, such as a server, or that is fed; the caller ends it with ``end_group``."""
        return self._popen(stdin=stdin, stdout=stdout, stderr=stderr)

    def _start(self, stdout: int | IO[bytes]) -> subprocess.Popen[bytes]:
        return self._popen(stdout=stdout, stderr=subprocess.PIPE)

    def _popen(
        self,
        *,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None,
        stderr: int | IO[bytes] | None,
    ) -> subprocess.Popen[bytes]:
        uid, gid = self.user or (None, None)
        try:
            return subprocess.Popen(
                self._argv(),
                env=minimal_environment() | dict(self.env),
                cwd=self.cwd,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                user=uid,
                group=gid,
                extra_groups=[] if uid is not None else None,
            )
        except FileNotFoundError as error:
            raise ToolMissing(
                Text("The program {program} was not found.", program=self.program),
                Text("Install it, or set the folder it is in."),
            ) from error
        except PermissionError as error:
            raise ToolMissing(
                Text("The program {program} may not be started.", program=self.program),
                Text("Check the permissions of {path}.", path=self.argv[0]),
            ) from error

    def _argv(self) -> tuple[str, ...]:
        """Let the kernel end the program when the calling thread dies, also by kill -9."""
        setpriv = shutil.which("setpriv")
        if setpriv is None or not os.access(
            self.argv[0] if "/" in self.argv[0] else shutil.which(self.argv[0]) or "", os.X_OK
        ):
            return self.argv
        return (setpriv, "--pdeathsig", self.death_signal, "--", *self.argv)

    def _lines(
        self, process: subprocess.Popen[bytes], watcher: Progress, on_poll: Callable[[], None] | None
    ) -> Iterator[str]:
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        reader = threading.Thread(target=self._read_lines, args=(process.stderr, lines), daemon=True)
        reader.start()
        next_poll = 0.0
        while True:
            if time.monotonic() >= next_poll:
                next_poll = time.monotonic() + POLL_SECONDS
                watcher.check()
                if on_poll is not None:
                    on_poll()
            try:
                line = lines.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if line is None:
                process.wait()
                return
            yield line

    def _read_lines(self, stream: IO[bytes] | None, lines: queue.SimpleQueue[str | None]) -> None:
        assert stream is not None
        with stream:
            for raw in stream:
                lines.put(self._masked(raw.decode(errors="replace").rstrip()))
        lines.put(None)

    def _masked(self, line: str) -> str:
        for secret in self.secrets:
            if secret:
                line = line.replace(secret, MASK)
        return line

    def _failure(self, exit_code: int, tail: tuple[str, ...]) -> CommandFailed:
        reason = next((line for line in tail if "error" in line.lower() or "fatal" in line.lower()), "")
        return CommandFailed(
            Text(
                "{program} failed with exit code {code}: {reason}",
                program=self.program,
                code=exit_code,
                reason=reason or (tail[-1] if tail else "-"),
            ),
            Text("The job's log has its last lines."),
            exit_code=exit_code,
            output=tail,
        )


def minimal_environment() -> dict[str, str]:
    """What every program gets from us: where programs are, and a locale in which messages are English UTF-8."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
    }


def end_group(process: subprocess.Popen[bytes], *, grace: float = GRACE_SECONDS) -> None:
    """End a program that ``Command`` started and everything it started; return when the program is gone."""
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()


def end_group_by_pid(pid: int, started: str) -> bool:
    """Kill the group led by ``pid`` if that is still the process that started at ``started``; say whether it was.

    When the leader is gone, what it had started may be left, such as the ``sh -c pg_dump -V`` of a pg_dumpall. Nobody
    else gets a pid that is the name of a group, so that is killed, too.
    """
    if not pid:
        return False
    found = start_time(pid)
    if found != started and (found or not _is_left_behind(pid, started)):
        return False
    _signal_group(pid, signal.SIGKILL)
    return True


def end_processes_in(folder: Path, *, grace: float = 5.0) -> None:
    """End every process whose working folder is ``folder`` or below; return when they are gone, or cannot be ended.

    SIGQUIT comes first: a database server then ends at once, but gives back the memory it shares.
    """
    for number in (signal.SIGQUIT, signal.SIGKILL):
        until = time.monotonic() + grace
        while (found := list(_working_below(folder))) and time.monotonic() < until:
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            time.sleep(0.05)


def _working_below(folder: Path) -> Iterator[int]:
    place = os.path.realpath(folder)
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            where = os.readlink(entry / "cwd")
            if (where == place or where.startswith(f"{place}/")) and int(entry.name) != os.getpid():
                yield int(entry.name)


def start_time(pid: int) -> str:
    """Return the kernel's start time of a process, which together with its pid names it; empty when it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]


def _is_left_behind(group: int, started: str) -> bool:
    """Say whether a group and session of this name has processes, none of them older than its leader was."""
    ages = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _parent, *fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if state not in "ZX" and fields[:2] == [str(group), str(group)]:
                ages.append(int(fields[17]))
    return bool(ages) and started.isdecimal() and min(ages) >= int(started)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)

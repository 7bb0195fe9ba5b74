"""The one line in the crontab of whoever runs this: put in by django-crontab, under guard.

django-crontab takes a crontab that it cannot read for an empty one and writes that back, says that it has added what
was refused, and stops half way when a line is not its own any more. So nothing is believed: the crontab is read before
and after, a copy is kept, and put back when anything but our line has changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django_crontab.crontab import Crontab

from dbadmin.exceptions import CommandFailed, DbadminError, Refused, ToolMissing
from dbadmin.process import Command, minimal_environment
from dbadmin.text import Text

# Where django-crontab looks for it.
PROGRAM = "/usr/bin/crontab"
NONE_YET = "no crontab for"
DAEMONS = ("cron", "crond", "fcron")
COPIES_KEPT = 20


class CrontabFailed(DbadminError):
    """The crontab is not what it should be after a change; it was put back."""

    label = "CrontabFailed"


@dataclass(frozen=True, kw_only=True)
class Status:
    """``lines``: those of this installation; ``expected``: the one it should have; ``daemon``: whether a cron runs.

    ``daemon`` is None where that cannot be seen.
    """

    lines: tuple[str, ...]
    expected: str
    daemon: bool | None

    @property
    def is_installed(self) -> bool:
        """Exactly the line that is needed."""
        return self.lines == (self.expected,)


def status() -> Status:
    """Look, and change nothing. ``ToolMissing`` without the program, ``Refused`` when the crontab cannot be read."""
    return Status(lines=tuple(_ours(_read())), expected=_expected(), daemon=_is_daemon_running())


def install() -> Path:
    """Put the line in, or renew it; every other line stays as it is. Return the copy of what was there before."""
    return _change("add", [_expected()])


def uninstall() -> Path:
    """Take the line out; every other line stays as it is. Return the copy of what was there before."""
    return _change("remove", [])


def systemd_units() -> dict[str, str]:
    """Return the text of a service and of a timer that tick every minute, by the names of their files."""
    folder, home = str(settings.BASE_DIR), str(settings.HOME)
    program = f"{_unit(settings_python())} {_unit(str(Path(folder) / 'manage.py'))}"
    service = (
        "[Unit]\nDescription=dbadmin: do what is due\n\n[Service]\nType=oneshot\n"
        f"WorkingDirectory={folder.replace('%', '%%')}\nEnvironment={_unit(f'DBADMIN_HOME={home}')}\n"
        f"ExecStart={program} tick\n"
    )
    timer = (
        "[Unit]\nDescription=dbadmin: tick every minute\n\n[Timer]\nOnCalendar=*-*-* *:*:00\nAccuracySec=1s\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )
    return {"dbadmin-tick.service": service, "dbadmin-tick.timer": timer}


def settings_python() -> str:
    """Return the interpreter that cron would start, without the marks that a crontab needs."""
    return shlex.split(str(settings.CRONTAB_PYTHON_EXECUTABLE).replace("\\%", "%"))[0]


def _change(verb: str, ours: list[str]) -> Path:
    with _alone():
        before = _read()
        copy = _keep(before)
        with redirect_stdout(io.StringIO()):
            call_command("crontab", verb, verbosity=0)
        after = _read()
        if _others(after) != _others(before) or _ours(after) != ours:
            _put_back(before, copy)
            raise CrontabFailed(
                Text("The crontab was not what it should be after the change; it is again what it was before."),
                Text(
                    "What it was is kept in {path}. If it happens again, add the line by hand: {line}",
                    path=str(copy),
                    line=_expected(),
                ),
            )
        return copy


def _read() -> bytes:
    """Return the crontab, empty for a user who has none; whatever else goes wrong is no empty crontab."""
    said: list[str] = []
    with tempfile.TemporaryFile() as file:
        done = _crontab("-l").run(stdout=file, on_line=said.append, allowed=(0, 1))
        file.seek(0)
        content = file.read()
    if done.exit_code and not (len(said) == 1 and NONE_YET in said[0] and not content):
        raise Refused(
            Text("The crontab cannot be read: {reason}", reason=" ".join(said) or str(done.exit_code)),
            Text("Nothing was changed. Make “crontab -l” work for this user first."),
        )
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise Refused(
            Text("The crontab is not written in UTF-8."), Text("Nothing was changed. Add the line by hand.")
        ) from error
    return content


def _put_back(before: bytes, copy: Path) -> None:
    if _read() == before:
        return
    with contextlib.suppress(CommandFailed):  # what counts is what can be read afterwards
        _crontab(str(copy)).run() if before else _crontab("-r").run()
    if _read() != before:
        raise CrontabFailed(
            Text("The crontab was changed wrongly and could not be put back."),
            Text("Its former content is {path}; install it with “crontab {path}”.", path=str(copy)),
        )


def _crontab(*arguments: str) -> Command:
    program = shlex.split(getattr(settings, "CRONTAB_EXECUTABLE", PROGRAM))
    if not Path(program[0]).exists() and not _in_path(program[0]):
        raise ToolMissing(
            Text("There is no program “{program}”.", program=program[0]),
            Text("Install cron, or let the worker tick: it does by itself. “schedules systemd” prints a timer."),
        )
    return Command(argv=(*program, *arguments))


def _in_path(program: str) -> bool:
    folders = minimal_environment()["PATH"].split(":")
    return any((Path(folder) / program).exists() for folder in folders)


def _expected() -> str:
    with redirect_stdout(io.StringIO()):  # it says that manage.py is not here; the line goes there first
        crontab = Crontab(verbosity=0, readonly=True)
        crontab.add_jobs()
    line = str(crontab.crontab_lines[0]).rstrip("\n")
    if "#" in line.removesuffix(f"# {settings.CRONTAB_COMMENT}"):
        raise Refused(
            Text("A folder has “#” in its name; django-crontab would not know its line again."),
            Text("Use the systemd timer that “schedules systemd” prints, or let the worker tick."),
        )
    return line


def _ours(content: bytes) -> list[str]:
    return [line for line in content.decode().split("\n") if _is_ours(line)]


def _others(content: bytes) -> list[str]:
    return [line for line in content.decode().split("\n") if not _is_ours(line)]


def _is_ours(line: str) -> bool:
    return not line.lstrip().startswith("#") and line.rstrip().endswith(f"# {settings.CRONTAB_COMMENT}")


def _keep(content: bytes) -> Path:
    folder = Path(settings.HOME) / "crontabs"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{datetime.now():%Y%m%dT%H%M%S.%f}"
    path.touch(mode=0o600)
    path.write_bytes(content)
    for old in sorted(folder.iterdir())[:-COPIES_KEPT]:
        old.unlink(missing_ok=True)
    return path


@contextmanager
def _alone() -> Iterator[None]:
    """django-crontab reads, thinks and writes without a lock."""
    with (Path(settings.HOME) / "crontab.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_daemon_running() -> bool | None:
    names = list(Path("/proc").glob("[0-9]*/comm"))
    return any(_name(path) in DAEMONS for path in names) if names else None


def _name(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # it has ended meanwhile
        return ""


def _unit(word: str) -> str:
    """Quote for systemd, which knows % and $ as well."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'

"""The home folder: where everything that dbadmin keeps on this machine is."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class Unusable(Exception):
    """The home folder or a variable cannot be used. Its text is a sentence for the person who started us."""


def choose(argv: Sequence[str]) -> None:
    """Let ``quickstart --home PATH`` win over DBADMIN_HOME. To be called before settings are read."""
    if list(argv[1:2]) == ["quickstart"]:
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        parser.add_argument("--home")
        if folder := parser.parse_known_args(argv[2:])[0].home:
            os.environ["DBADMIN_HOME"] = str(Path(folder).expanduser().absolute())


def brings_key(argv: Sequence[str]) -> bool:
    """Say whether these arguments bring a catalogue back: a key that was made for an empty one would open nothing."""
    return list(argv[1:2]) == ["recover"]


@contextmanager
def usable(home: Path) -> Iterator[None]:
    """Turn what the operating system says about the home folder into ``Unusable``."""
    try:
        yield
    except OSError as error:
        raise Unusable(
            f"The home folder {home} cannot be used: {error.strerror}. Make it readable and writable for this user, "
            "or choose another one with DBADMIN_HOME (quickstart: --home)."
        ) from error


def secret(home: Path, name: str, make: Callable[[], str]) -> str:
    """Return the secret kept in ``home/name``, made at first use with mode 0600.

    Two processes that start at once get the same one: the file appears complete or not at all.
    """
    path = home / name
    with usable(home):
        if not path.exists():
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make(path, make())
        return path.read_text().strip()


def _make(path: Path, content: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_text(content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def for_cron(path: Path | str) -> str:
    """Return a path as a crontab line needs it."""
    return shlex.quote(str(path)).replace("%", "\\%")

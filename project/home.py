"""The home folder: where everything that dbadmin keeps on this machine is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def secret(home: Path, name: str, make: Callable[[], str]) -> str:
    """Return the secret kept in ``home/name``, made at first use with mode 0600.

    Two processes that start at once get the same one: the file appears complete or not at all.
    """
    path = home / name
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = home / f".{name}.{os.getpid()}"
        temporary.touch(mode=0o600)
        temporary.write_text(make())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_text().strip()

"""Private keys that a command is given in a file."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from dbadmin.archives.age import KEY_FILE_BYTES, read_key_file
from dbadmin.exceptions import UsageError
from dbadmin.text import Text


def add_key_file(parser: ArgumentParser) -> None:
    """Add ``--key-file``; the key itself is never an argument, which others could see."""
    parser.add_argument(
        "--key-file", metavar="PATH", help="private keys of an encrypted backup, as age-keygen writes them"
    )


def identities(options: dict[str, Any]) -> tuple[str, ...]:
    """Return the private keys of the file that was named; warns when others may read it too."""
    if not options.get("key_file"):
        return ()
    path = Path(options["key_file"])
    try:
        with path.open("rb") as file:
            content = file.read(KEY_FILE_BYTES + 1)
        others = path.stat().st_mode & 0o077
    except OSError as error:
        raise UsageError(
            Text("The key file {path} cannot be read: {reason}.", path=str(path), reason=error.strerror or "")
        ) from error
    if others:
        sys.stderr.write(f"{path} can be read by others; make it yours alone: chmod 600 {path}\n")
    return read_key_file(content)

"""Private keys that a command is given in a file."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from dbadmin.archives.age import KEY_FILE_BYTES, read_key_file
from dbadmin.exceptions import UsageError
from dbadmin.management.values import wrong_usage
from dbadmin.text import Text


def add_key_file(parser: ArgumentParser) -> None:
    """Add ``--key-file``; the key itself is never an argument, which others could see."""
    parser.add_argument(
        "--key-file", metavar="PATH", help="private keys of an encrypted backup, as age-keygen writes them"
    )


def identities(options: dict[str, Any]) -> tuple[str, ...]:
    """Return the private keys of the file that was named; warns when others may read them too.

    What holds no key may be any file of the machine: nobody is advised to change the rights of that.
    """
    if not options.get("key_file"):
        return ()
    path = Path(options["key_file"])
    try:
        with path.open("rb") as file:
            content = file.read(KEY_FILE_BYTES + 1)
            rights = os.fstat(file.fileno())
    except OSError as error:
        raise UsageError(
            Text("The key file {path} cannot be read: {reason}.", path=str(path), reason=error.strerror or "")
        ) from error
    with wrong_usage():
        found = read_key_file(content)
    if rights.st_mode & 0o077:
        sys.stderr.write(f"{_warning(path, is_own=rights.st_uid == os.geteuid())}\n")
    return found


def _warning(path: Path, *, is_own: bool) -> Text:
    words = {"path": str(path), "quoted": shlex.quote(str(path))}
    if is_own:
        return Text("{path} can be read by others. Make it yours alone: chmod 600 {quoted}", **words)
    return Text(
        "{path} can be read by others and belongs to another user. Make a copy that only you can read, and name that: "
        "install -m 600 {quoted} key.txt",
        **words,
    )

"""The type and the options of a remote of rclone, as people write them down."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_CONFIGURED = re.compile(r"[\w.+@ -]*[\w.+@-]:")
# These run a program of this machine; whoever may add a storage is not meant to be able to do that.
_RUNNING_PROGRAMS = {"ssh", "bearer_token_command"}
# These take other remotes as values, and with them any option.
_WRAPPERS = {"alias", "archive", "cache", "chunker", "combine", "compress", "crypt", "hasher", "union"}
# Not storages: they forget, or cannot be written to.
_UNFIT = {"memory", "http", "doi"}


def is_configured(remote: str) -> bool:
    """Say whether a remote of rclone's own configuration is meant, in place of a type."""
    return remote.endswith(":")


def parse_options(written: str | Mapping[str, str]) -> dict[str, str]:
    """Return options by name, of a mapping or of lines ``name = value``; ``ValidationFailed`` shows no value."""
    if isinstance(written, Mapping):
        return {str(name): str(value) for name, value in written.items()}
    options = {}
    for number, line in enumerate(written.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not _NAME.fullmatch(name):
            raise ValidationFailed(Text("Line {number} is not of the form name = value.", number=number))
        options[name] = value
    return options


def problem_of_remote(remote: str) -> Text | None:
    """Return what is wrong with a type of remote, or with the name of a configured one."""
    if is_configured(remote):
        fits = _CONFIGURED.fullmatch(remote) and not remote.startswith(("-", ":"))
        return None if fits else Text("“{value}” is no name of a remote.", value=remote)
    if remote in _WRAPPERS:
        return Text(
            "“{value}” wraps another remote. Make it with “rclone config” and give its name with a colon.", value=remote
        )
    if remote in _UNFIT or not re.fullmatch(r"[a-z][a-z0-9 ]*", remote):
        return Text("“{value}” is no type of remote that archives can be kept on.", value=remote)
    return None


def problem_of_options(written: str | Mapping[str, str]) -> Text | None:
    """Return what is wrong with options, without showing any value."""
    try:
        options = parse_options(written)
    except ValidationFailed as error:
        return error.message
    for name, value in options.items():
        if not _NAME.fullmatch(name) or name == "type":
            return Text("“{name}” is no option.", name=name)
        if name in _RUNNING_PROGRAMS:
            return Text("“{name}” would run a program of this machine; that is not allowed here.", name=name)
        if "\n" in value or "\0" in value:
            return Text("“{name}” has more than one line; write \\n where a line ends.", name=name)
    return None


def problem_of_host(remote: str, options: Mapping[str, str]) -> Text | None:
    """Return that nothing says which server is the right one, for remotes where that is for us to say."""
    if remote == "sftp" and not options.get("known_hosts_file") and not options.get("host_keys"):
        return Text(
            "Nothing tells whether the server is the right one. Add known_hosts_file = /path/to/known_hosts, or "
            "host_keys = followed by type and key as “ssh-keyscan” prints them."
        )
    return None

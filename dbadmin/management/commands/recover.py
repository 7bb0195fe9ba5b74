"""Bring a lost dashboard back."""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from dbadmin.backups.recover import Recovered, recover
from dbadmin.crypto import keys, split_keys
from dbadmin.management.command import DONE, UNKNOWN, WARNING, Outcome, VerbCommand
from dbadmin.management.key_files import add_key_file, identities
from dbadmin.management.progress import for_stream
from dbadmin.management.values import wrong_usage
from dbadmin.models import Storage
from dbadmin.storages.addresses import EXAMPLES, read_uri
from dbadmin.text import Text


class Command(VerbCommand):
    """Makes the catalogue of an empty installation the newest one of a storage."""

    help = (
        "On an empty machine: bring back the catalogue from a storage, then adopt every archive in it. Put the former "
        "encryption key into the home folder first, or set DBADMIN_ENCRYPTION_KEY; the Recovery Kit has it."
    )

    def add(self, parser: ArgumentParser) -> None:
        """Take the storage and the keys of its archives."""
        parser.add_argument(
            "--storage", required=True, metavar="ADDRESS",
            help=f"{EXAMPLES}, or an absolute path; secrets come from the environment",
        )  # fmt: skip
        parser.add_argument(
            "--accept-key", action="store_true", help="the former encryption key is lost: stored secrets stay locked"
        )
        add_key_file(parser)

    def do(self, options: dict[str, Any]) -> Outcome:
        """Recover here; exit code 1 when something is lacking, 3 when nothing newer was seen."""
        with wrong_usage():
            address = read_uri(options["storage"])
        found = recover(
            address,
            identities=identities(options),
            accept_key=options["accept_key"],
            progress=for_stream(sys.stderr),
        )
        result = {
            "catalogue": found.key,
            "taken_at": found.manifest.started_at,
            "storage": found.storage.name,
            "adopted": [backup.key for backup in found.adopted],
            "known": [backup.key for backup in found.known],
            "not_adopted": [{"key": key, "reason": str(error)} for key, error in found.unknown],
            "stopped": str(found.stopped) if found.stopped else None,
            "locked": found.locked,
            "away": [storage.name for storage in found.away],
        }
        code = UNKNOWN if found.stopped else WARNING if found.unknown or found.locked or found.away else DONE
        return Outcome(results=[result], lines=_lines(found), exit_code=code)


def _lines(found: Recovered) -> list[str]:
    taken = found.manifest.started_at.isoformat(timespec="seconds")
    lines = [
        Text("The catalogue is that of {time}: {key}.", time=taken, key=found.key),
        *_newer(found),
        *(Text("Not adopted: {key}. {reason}", key=key, reason=error.message) for key, error in found.unknown),
    ]
    if found.locked:
        lines += [
            Text("Stored with another encryption key: {names}.", names=", ".join(found.locked)),
            Text("Put the former key into the home folder (encryption_key) or DBADMIN_ENCRYPTION_KEY. Where it is "
                 "lost: manage.py worker --accept-key, then enter the passwords again."),
        ]  # fmt: skip
    lines += [line for storage in found.away for line in _away(storage)]
    if settings.ENCRYPTION_KEY_FILE is None:
        lines += _unkept(Path(settings.HOME) / "encryption_key")
    lines += [Text("Start it: manage.py serve. Then verify the newest backups.")]
    return [str(line) for line in lines]


def _unkept(path: Path) -> list[Text]:
    lines = [
        Text("The encryption key is that of DBADMIN_ENCRYPTION_KEY, which dbadmin keeps nowhere."),
        Text("Set it for every process of dbadmin from now on, or write it into {path}.", path=path),
    ]
    if path.exists() and not set(split_keys(path.read_text())) & set(keys()):
        lines += [
            Text("{path} holds another key, which is taken where the variable is missing: replace it.", path=path)
        ]
    return lines


def _away(storage: Storage) -> list[Text]:
    name, path = shlex.quote(storage.name), storage.settings["path"]
    return [
        Text("The folder of “{name}” is missing or empty here: {path}.", name=storage.name, path=path),
        Text("Mount it. If its archives are elsewhere now: manage.py storages edit {name} --set path=FOLDER. "
             "If they are lost, let another storage take its place and remove it from the dashboard.", name=name),
    ]  # fmt: skip


def _newer(found: Recovered) -> list[Text]:
    if found.stopped is None:
        lines = [Text("Archives adopted that the catalogue did not know: {count}.", count=len(found.adopted))]
        known = Text("Archives found here, too, that it knows from elsewhere: {count}.", count=len(found.known))
        return [*lines, known] if found.known else lines
    return [
        Text("The catalogue is back; what is newer could not be adopted: {reason}", reason=found.stopped.told),
        Text("When that is mended, run: manage.py storages adopt {name}", name=shlex.quote(found.storage.name)),
    ]

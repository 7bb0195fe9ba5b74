"""Bring a lost dashboard back."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from dbadmin.backups.recover import Recovered, recover
from dbadmin.management.command import DONE, WARNING, Outcome, VerbCommand
from dbadmin.management.key_files import add_key_file, identities
from dbadmin.management.progress import for_stream
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
        add_key_file(parser)

    def do(self, options: dict[str, Any]) -> Outcome:
        """Recover here; exit code 1 when something could not be adopted or decrypted."""
        address = read_uri(options["storage"])
        found = recover(address, identities=identities(options), progress=for_stream(sys.stderr))
        result = {
            "catalogue": found.key,
            "taken_at": found.manifest.started_at,
            "storage": found.storage.name,
            "adopted": [backup.key for backup in found.adopted],
            "not_adopted": [{"key": key, "reason": str(error)} for key, error in found.unknown],
            "locked": found.locked,
        }
        return Outcome(
            results=[result], lines=list(_lines(found)), exit_code=WARNING if found.unknown or found.locked else DONE
        )


def _lines(found: Recovered) -> list[str]:
    taken = found.manifest.started_at.isoformat(timespec="seconds")
    lines = [
        Text("The catalogue is that of {time}: {key}.", time=taken, key=found.key),
        Text("{count} archives that are newer were adopted.", count=len(found.adopted)),
        *(Text("Not adopted: {key}. {reason}", key=key, reason=error.message) for key, error in found.unknown),
    ]
    if found.locked:
        lines += [
            Text("Stored with another encryption key: {names}.", names=", ".join(found.locked)),
            Text("Put the former key into the home folder (encryption_key) or DBADMIN_ENCRYPTION_KEY. Where it is "
                 "lost: manage.py worker --accept-key, then enter the passwords again."),
        ]  # fmt: skip
    lines += [Text("Start it: manage.py serve. Then verify the newest backups.")]
    return [str(line) for line in lines]

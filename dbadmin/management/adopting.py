"""The verbs of `storages` for what lies there unknown, and ``restore run --uri``."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.db import transaction

from dbadmin import audit
from dbadmin.archives.encryption import offered
from dbadmin.backups.addressed import keep, reached
from dbadmin.backups.adopt import DUMPS, FOLDER, UNREAD, adopt, adopt_all, bring, enter, look_at, require_there, scan
from dbadmin.backups.twins import require_alone
from dbadmin.exceptions import DbadminError, StorageError, UsageError
from dbadmin.jobs.keeping import ask_to_read
from dbadmin.management.command import DONE, WARNING, Outcome
from dbadmin.management.key_files import add_key_file, identities
from dbadmin.management.progress import for_stream
from dbadmin.management.rows import backup_row, find_storage
from dbadmin.models import Backup, Import
from dbadmin.storages.addresses import EXAMPLES, SCHEMES, Address, read_uri
from dbadmin.text import Text

ADOPTING = {
    "scan": "list archives and dumps that lie in a storage, and whether the catalogue knows them",
    "adopt": "take archives that lie in a storage into the catalogue; all unknown ones without KEY",
}


class AdoptingVerbs:
    """Methods for a ``VerbCommand``."""

    def add_scan(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("name", metavar="NAME")

    def do_scan(self, options: dict[str, Any]) -> Outcome:
        """List; nothing is read but names."""
        found = scan(find_storage(options["name"]), for_stream(sys.stderr))
        kinds = {True: Text("archive"), False: Text("file")}
        known = {True: Text("known"), False: Text("unknown")}
        return Outcome(
            results=[
                {"key": f.key, "size": f.size, "modified": f.modified, "archive": f.is_archive, "known": f.is_known,
                 "database": f.database, "scope": f.scope, "taken_at": f.taken_at} for f in found
            ],
            lines=[f"{kinds[f.is_archive]!s:<8} {known[f.is_known]!s:<8} {f.size:>14,}  {f.key}" for f in found],
        )  # fmt: skip

    def add_adopt(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("key", metavar="KEY", nargs="*", help="as `scan` lists them")
        add_key_file(parser)

    def do_adopt(self, options: dict[str, Any]) -> Outcome:
        """Adopt; exit code 1 when some could not be."""
        storage, actor = find_storage(options["name"]), audit.from_shell()
        failed: list[tuple[str, DbadminError]] = []
        require_alone(storage.backend(), itself=storage.pk)
        with offered(identities(options)):
            if options["key"]:
                adopted = [adopt(storage, key, actor=actor) for key in options["key"]]
            else:
                adopted, failed = adopt_all(storage, actor=actor, progress=for_stream(sys.stderr))
        ask_to_read(adopted)
        lines = [str(Text("{count} archives were adopted.", count=len(adopted))), *([str(UNREAD)] if adopted else [])]
        return Outcome(
            results=[backup_row(backup) for backup in adopted]
            + [{"key": key, "error": str(error)} for key, error in failed],
            lines=[*lines, *(f"{key}: {error}" for key, error in failed)],
            exit_code=WARNING if failed else DONE,
        )


def add_uri(parser: ArgumentParser) -> None:
    """Add ``--uri``."""
    parser.add_argument(
        "--uri", metavar="ADDRESS", help=f"an archive's folder, or a dump, in a storage ({EXAMPLES}); secrets come "
        "from the environment"
    )  # fmt: skip


def at_uri(options: dict[str, Any]) -> Backup | Import:
    """Return the backup at an address, which is in the catalogue then, or a dump that was fetched from there.

    Its storage is registered when the archive was found there, and not before; for a dump it is not.
    """
    address, key = _taken_apart(options["uri"])
    if key.endswith(DUMPS):
        return bring(reached(address, lambda each: require_there(each, key))[0], key, actor=audit.from_shell())
    with offered(identities(options)):
        storage, seen = reached(address, lambda each: look_at(each, key))
    with transaction.atomic():
        keep(storage, actor=audit.from_shell())
        backup = enter(storage, key, seen, actor=audit.from_shell())
    backup.read_from = storage
    return backup


def _taken_apart(uri: str) -> tuple[Address, str]:
    """The archive's key is the last two parts of the path, a dump's the last; before them is the storage."""
    place, _mark, query = uri.partition("?")
    _require_scheme(place)
    parts = place.rstrip("/").split("/")
    if parts[-1].partition(".")[0] in ("backup", "manifest") and FOLDER.match("/".join(parts[-3:-1])):
        parts = parts[:-1]
    length = 2 if FOLDER.match("/".join(parts[-2:])) else 1 if parts[-1].endswith(DUMPS) else 0
    if not length:
        raise UsageError(
            _what_it_is_not(uri, place),
            Text(
                "The address has to end in an archive's folder or a dump. `storages scan` lists what is in a storage."
            ),
        )
    address = read_uri("/".join(parts[:-length]) + (f"?{query}" if query else ""))
    return address, "/".join(parts[-length:])


def _what_it_is_not(uri: str, place: str) -> Text:
    """Look whether there is anything at all; ``ValidationFailed`` for what is no address."""
    try:
        is_there = _is_anything_at(read_uri(uri))
    except StorageError as error:
        return Text("“{uri}” could not be looked into: {reason}", uri=place, reason=error.message)
    if not is_there:
        return Text("There is nothing at “{uri}”.", uri=place)
    return Text("“{uri}” is neither an archive's folder nor a dump.", uri=place)


def _is_anything_at(address: Address) -> bool:
    if address.kind == "local":  # to list it would be to walk through all that is below
        return os.path.exists(address.settings["path"])
    return next(iter(address.storage().list()), None) is not None


def _require_scheme(place: str) -> None:
    scheme, mark, _rest = place.partition("://")
    if mark and scheme.lower() not in SCHEMES:
        raise UsageError(
            Text("“{scheme}://” leads to no kind of storage that dbadmin knows.", scheme=scheme),
            Text("Known are {names}.", names=", ".join(f"{each}://" for each in SCHEMES)),
        )

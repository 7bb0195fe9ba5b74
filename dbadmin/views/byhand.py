"""The commands that bring a backup back without this product, with its real names filled in and no secret."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from dbadmin.archives.manifest import ARCHIVE_NAME, Member
from dbadmin.backups.naming import original_name
from dbadmin.backups.reading import candidates
from dbadmin.choices import EngineName
from dbadmin.models import Backup, Restore


@dataclass(frozen=True)
class Step:
    """What to do, and the command that does it."""

    words: str
    command: str


def steps_without_dbadmin(backup: Backup, members: Sequence[Member]) -> list[Step]:
    """Return the steps in order, as README describes them; ``members`` may be empty when they are not known."""
    own = {EngineName.POSTGRESQL: _postgresql, EngineName.SQLITE: _sqlite, EngineName.FILES: _files}
    return [*_unpacked(backup), *own[EngineName(backup.database.engine)](backup, {member.name for member in members})]


def _unpacked(backup: Backup) -> Iterator[Step]:
    copy = next(iter(candidates(backup)), None)
    if copy and (path := copy.storage.settings.get("path")):
        yield Step(
            _("Go to the archive. (Or download it, and rename it to backup.tar.)"),
            f"cd {shlex.quote(f'{path}/{backup.key}')}",
        )
    if copy and copy.recipients:
        yield Step(
            _("Decrypt it with the private key, which the Recovery Kit has."),
            f"age --decrypt --identity key.txt --output {ARCHIVE_NAME} {ARCHIVE_NAME}.age",
        )
    yield Step(_("Check it: the answer has to be “OK”."), f"echo '{backup.sha256}  {ARCHIVE_NAME}' | sha256sum --check")
    yield Step(_("Unpack it."), f"tar -xf {ARCHIVE_NAME}")


def _postgresql(backup: Backup, members: set[str]) -> Iterator[Step]:
    name = shlex.quote(f"{original_name(backup.database)}_restored")
    if "globals.sql" in members:
        yield Step(_("On a new server, make the roles first."), "psql -f globals.sql postgres")
    yield Step(_("Make an empty database."), f"createdb {name}")
    yield Step(
        _("Restore with pg_restore {version}.").format(version=backup.client_version or backup.server_version),
        f"pg_restore --format=directory --jobs=2 --dbname={name} dump",
    )


def _sqlite(backup: Backup, members: set[str]) -> Iterator[Step]:
    name = shlex.quote(f"{original_name(backup.database).stem}_restored.sqlite3")
    yield Step(_("Decompress the database into a new file."), f"zstd -d database.sqlite3.zst -o {name}")
    yield Step(_("Look whether SQLite finds it whole."), f"sqlite3 {name} 'PRAGMA integrity_check'")


def _files(backup: Backup, members: set[str]) -> Iterator[Step]:
    yield Step(_("The files are below files/, as they were."), "ls -R files")


def connect_command(restore: Restore) -> str:
    """Return the command that opens what was restored; psql asks for the password itself."""
    if restore.backup.database.engine == EngineName.SQLITE:
        return shlex.join(["sqlite3", restore.target])
    if restore.backup.database.engine == EngineName.FILES:
        return shlex.join(["ls", "-la", restore.target])
    host, _colon, rest = restore.target.rpartition(":")
    port, _slash, name = rest.partition("/")
    user = restore.backup.database.settings.get("user")
    return shlex.join(["psql", "-h", host.strip("[]"), "-p", port, *(["-U", user] if user else []), "-d", name])

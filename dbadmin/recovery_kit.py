"""The Recovery Kit: one text to print or keep elsewhere, with which everything comes back, also without dbadmin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import indent

from django.db.models import BooleanField, ExpressionWrapper, F, Prefetch, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from django.utils.translation import gettext as _

import dbadmin
from dbadmin import crypto
from dbadmin.archives.age import NATIVE
from dbadmin.backups.naming import original_name
from dbadmin.choices import CopyState, EngineName, Scope
from dbadmin.exceptions import DbadminError
from dbadmin.models import Backup, Copy, Database, EncryptionKey, Storage
from dbadmin.storages.kinds import KINDS
from dbadmin.templatetags.storages import kind_label

WIDTH = 72
DECRYPT = "age -d -i key.txt backup.tar.age | tar -xf -"
READ_MANIFEST = "age -d -i key.txt manifest.json.age > manifest.json"
CHECK = "age -d -i key.txt backup.tar.age | sha256sum"
CHECK_CLEAR = "sha256sum backup.tar"
POSTGRESQL = """psql --quiet --file=globals.sql postgres
createdb NAME
pg_restore --format=directory --jobs=2 --dbname=NAME dump"""
SQLITE = "zstd -d database.sqlite3.zst -o restored.sqlite3"
RECOVER = "uv run manage.py recover --storage ADDRESS --key-file key.txt"


def kit(*, with_secrets: bool) -> str:
    """Return the kit in the active language. Without ``with_secrets`` it holds nothing that opens or reaches anything.

    With them: every private key of this server, and the key of the catalogue's stored passwords.
    """
    sections = (
        _head(with_secrets),
        _databases(),
        _storages(),
        _keys(with_secrets),
        _by_hand(),
        _dashboard(with_secrets),
    )
    return "\n".join(line for section in sections for line in section) + "\n"


def key_file(key: EncryptionKey, identity: str) -> str:
    """Return a private key as a file that age reads."""
    if not identity.startswith(NATIVE):
        return identity.strip() + "\n"  # age knows a key of OpenSSH only by the very beginning of the file
    comments = (key.name, f"created: {key.created_at:%Y-%m-%dT%H:%M:%SZ}", f"public key: {key.recipient}")
    return "".join(f"# {line}\n" for line in comments) + identity.strip() + "\n"


def _head(with_secrets: bool) -> Iterator[str]:
    yield _("dbadmin Recovery Kit")
    yield "=" * WIDTH
    yield _("Made {time} by dbadmin {version}.").format(
        time=f"{timezone.now():%Y-%m-%d %H:%M} UTC", version=dbadmin.__version__
    )
    if with_secrets:
        yield _("IT HOLDS PRIVATE KEYS. Print it, or keep it where only those may look who may read every backup.")
    else:
        yield _("It holds no private key and no password; keep those elsewhere, too.")
    yield _("Keep it away from the machine that dbadmin runs on. Make a new one when keys or storages change.")


def _databases() -> Iterator[str]:
    yield from _title(_("1. What is backed up, and where its newest full backups lie"))
    newest = _newest()
    for database in Database.objects.registered().select_related("application"):
        yield f"{database.application} / {database} ({database.get_engine_display()})"
        if lived := _lived(database):
            yield "    " + lived
        if database.pk not in newest:
            yield "    " + _("There is no full backup in a storage that is registered.")
        for backup, copies in newest.get(database.pk, {}).items():
            yield f"    {backup.started_at:%Y-%m-%d %H:%M} UTC  {backup.key}/"
            yield "    SHA-256 backup.tar: " + backup.sha256
            yield from (f"    → {_place(copy)}" for copy in copies)


def _lived(database: Database) -> str:
    """Say where it is when all is well; a restore by hand needs the names. Nothing here is secret."""
    if database.engine != EngineName.POSTGRESQL:
        return str(database.settings.get("path") or database.settings.get("folder") or "")
    try:
        reached = database.connection()
    except DbadminError:  # such as a variable that is not set now, or a password of another key
        return _("database {name}").format(name=original_name(database))
    server, _slash, name = reached.address.partition(f":{reached.port}/")
    words = _("database {name} on {server}, user {user}") if reached.user else _("database {name} on {server}")
    return words.format(name=name, server=f"{server}:{reached.port}", user=reached.user)


def _place(copy: Copy) -> str:
    notes = [_("in another place")] if copy.storage.is_offsite else []
    notes += [f"age: {', '.join(copy.recipients)}"] if copy.recipients else []
    notes += [] if copy.verified_at else [_("never read to its end")]
    return copy.storage.name + (f"  ({'; '.join(notes)})" if notes else "")


def _newest() -> dict[int, dict[Backup, list[Copy]]]:
    """Return for each database its newest full backup of every storage, with the copies; what survives longest first.

    What was read whole goes before what was only found: a newer archive that nobody has read may be rotten.
    """
    copies = Copy.objects.filter(pk__in=_newest_copies()).select_related("storage")
    backups = Backup.objects.defer("facts", "origin")
    found: dict[int, dict[Backup, list[Copy]]] = {}
    by_place = copies.order_by("-storage__is_offsite", "-backup__started_at", "storage__name")
    for copy in by_place.prefetch_related(Prefetch("backup", backups)):
        found.setdefault(copy.backup.database_id, {}).setdefault(copy.backup, []).append(copy)
    return found


def _newest_copies() -> QuerySet[Copy]:
    place = Window(
        RowNumber(),
        partition_by=("backup__database", "storage"),
        order_by=(
            ExpressionWrapper(Q(verified_at=None), output_field=BooleanField()).asc(),
            F("backup__started_at").desc(),
            F("backup").desc(),
        ),
    )
    stored = Copy.objects.filter(state=CopyState.STORED, storage__in=Storage.objects.registered()).order_by()
    full = stored.filter(backup__in=Backup.objects.available().filter(scope=Scope.FULL).order_by())
    return full.alias(place=place).filter(place=1)


def _storages() -> Iterator[str]:
    yield from _title(_("2. Storages"))
    for storage in Storage.objects.registered().prefetch_related("keys"):
        yield f"{storage.name} ({kind_label(storage)})"
        for name, value in sorted(storage.settings.items()):
            if value not in ("", None, [], False):
                yield indent(f"{name}: {value}", "    ")
        if storage.encrypted_secrets:
            yield "    " + _("Its password or token is not in this kit; the provider issues another one.")
        names = ", ".join(key.name for key in storage.keys.all())
        yield "    " + (_("Encrypted for: {names}").format(names=names) if names else _("New archives are in clear."))


def _keys(with_secrets: bool) -> Iterator[str]:
    yield from _title(_("3. Keys of the archives"))
    needed = _sealed_for()
    keys = list(EncryptionKey.objects.all())
    if not keys and not needed:
        yield _("No archive is encrypted.")
    for key in keys:
        yield f"{key.name}" + (_(" (retired; needed for older archives)") if key.retired_at else "")
        yield "    " + _("public key:") + f" {key.recipient}"
        if not key.encrypted_identity:
            yield "    " + _(
                "The private key is NOT on this server. It is in the file you were given: write here where."
            )
        elif key.is_locked:
            yield "    " + _(
                "The private key is on the server of dbadmin and CANNOT BE READ there: it was stored with another "
                "encryption key. Give dbadmin its file again, and write here where that is."
            )
        elif with_secrets:
            yield "    " + _("private key; save these lines as key.txt:")
            yield key_file(key, key.identity)
        else:
            yield "    " + _("The private key is on the server of dbadmin, and not in this kit.")
    for recipient in sorted(needed - {key.recipient for key in keys}):
        yield _("Archives are also encrypted for a key that dbadmin does not know: {key}").format(key=recipient)


def _sealed_for() -> set[str]:
    lists = Copy.objects.filter(state=CopyState.STORED).exclude(recipients=[]).values_list("recipients", flat=True)
    return {recipient for recipients in lists.iterator() for recipient in recipients}


def _by_hand() -> Iterator[str]:
    yield from _title(_("4. Restoring without dbadmin"))
    yield _("A backup is a folder of its storage with backup.tar and manifest.json; encrypted ones end with .age.")
    yield _("Get the folder, then, with the private key in key.txt (program: age, or rage):")
    yield from _commands(DECRYPT, READ_MANIFEST)
    yield _("In clear:")
    yield from _commands("tar -xf backup.tar")
    yield _("This has to print archive_sha256 of the manifest, which part 1 has, too; encrypted, or in clear:")
    yield from _commands(CHECK, CHECK_CLEAR)
    engines = set(Database.objects.registered().values_list("engine", flat=True))
    if EngineName.POSTGRESQL in engines:
        yield from _by_hand_postgresql()
    if EngineName.SQLITE in engines:
        yield _("SQLite:")
        yield from _commands(SQLITE)
    if EngineName.FILES in engines:
        yield _("Files are below files/, as they were.")


def _by_hand_postgresql() -> Iterator[str]:
    yield _("PostgreSQL; pg_restore of the version that is client_version in the manifest, or a later one:")
    yield from _commands(*POSTGRESQL.splitlines())
    yield _("NAME is the name of the database in part 1. PGHOST, PGPORT and PGUSER say which server takes it.")
    yield _("globals.sql makes the roles; where it is missing, leave its line out.")
    yield _("“ERROR: role … already exists” does no harm.")


def _dashboard(with_secrets: bool) -> Iterator[str]:
    yield from _title(_("5. Bringing dbadmin itself back on an empty machine"))
    yield _("Get the source code of dbadmin (clone or copy it) from where you installed it from. It needs uv.")
    yield _("In its folder set the key of its stored passwords, and point it at a storage:")
    yield from _commands("export DBADMIN_ENCRYPTION_KEY=…", RECOVER)
    yield _("Leave --key-file out where no archive is encrypted.")
    yield from _variables()
    if with_secrets and crypto.keys():
        yield "DBADMIN_ENCRYPTION_KEY=" + ",".join(crypto.keys())
    else:
        yield _("DBADMIN_ENCRYPTION_KEY is in the home folder (encryption_key) or in the environment of dbadmin.")
        yield _("Without it the archives still come back; passwords of databases and storages are entered again.")


def _variables() -> Iterator[str]:
    """Name the variables that carry what an address cannot, of the kinds of storages that there are."""
    used = set(Storage.objects.registered().values_list("kind", flat=True))
    kinds = [kind for kind in KINDS.values() if kind.name in used and kind.variables]
    if kinds:
        yield _(
            "Before that, set what the address does not hold, such as the storage's password or token, with export:"
        )
    yield from (f"    {kind.label}: {', '.join(kind.variables)}" for kind in kinds)


def _title(words: str) -> Iterable[str]:
    return ("", words, "-" * WIDTH)


def _commands(*lines: str) -> Iterable[str]:
    return ("", *(f"    {line}" for line in lines), "")

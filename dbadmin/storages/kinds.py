"""What each kind of storage wants to know, so that forms, commands and addresses can be made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dbadmin.exceptions import ValidationFailed
from dbadmin.storages.checks import is_here, problem_of
from dbadmin.text import Text

TEXT, NUMBER, BOOLEAN, CHOICE, LINES = "text", "number", "boolean", "choice", "lines"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One thing to know. ``secret`` ones belong into ``Storage.secrets``, the others into ``Storage.settings``.

    form: text, number, boolean, choice (one of ``choices``: value and label) or lines (several ``name = value``).
    belongs_to: the setting that a secret is of little use without, and that is of little use without the secret.
    variables: environment variables that give the value where a storage is named by an address.
    """

    name: str
    label: Text
    required: bool = False
    secret: bool = False
    default: str | int | bool = ""
    help: Text = Text("")  # noqa: RUF009
    form: str = TEXT
    belongs_to: str = ""
    choices: tuple[tuple[str, Text], ...] = ()
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of storage. ``offsite``: it usually survives the loss of this machine's building."""

    name: str
    label: Text
    description: Text
    settings: tuple[Setting, ...]
    offsite: bool = True

    def setting(self, name: str) -> Setting | None:
        """Return the setting of that name."""
        return next((each for each in self.settings if each.name == name), None)

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the environment variables that complete an address, one for each setting that has any."""
        return tuple(each.variables[0] for each in self.settings if each.variables)

    @property
    def secret_names(self) -> frozenset[str]:
        """Names of those that are never shown again."""
        return frozenset(each.name for each in self.settings if each.secret)

    def wanted_again(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the secrets that have been stored with these settings for sure, where it is not known which were."""
        secrets = [each for each in self.settings if each.secret]
        return tuple(
            each.name for each in secrets if len(secrets) == 1 or each.required or settings.get(each.belongs_to)
        )


PREFIX = Setting(
    name="prefix",
    label=Text("Folder in it"),
    help=Text("Everything is kept below this folder, for example backups/production. Empty: at the top."),
)
STORAGE_CLASS = Setting(
    name="storage_class",
    label=Text("Storage class"),
    help=Text(
        "As the provider calls it, for example STANDARD_IA; empty: the provider's default. "
        "Classes that have to be thawed first cannot be read back by a restore."
    ),
)
ALLOW_HTTP = Setting(
    name="allow_http",
    label=Text("Allow http"),
    default=False,
    form=BOOLEAN,
    help=Text("Without it archives and keys travel by https only, except to this machine itself."),
)
CA_CERTIFICATE = Setting(
    name="ca_certificate",
    label=Text("Certificate authority"),
    help=Text("Path of a PEM file on this machine, when the server's certificate is from an authority of your own."),
)

LOCAL = Kind(
    name="local",
    label=Text("Folder on this machine"),
    description=Text("A folder, a mounted disk or a network share."),
    offsite=False,
    settings=(
        Setting(
            name="path",
            label=Text("Folder"),
            required=True,
            help=Text("An absolute path. It is made when it is missing, readable by the owner only."),
        ),
    ),
)

S3 = Kind(
    name="s3",
    label=Text("S3-compatible"),
    description=Text("Amazon S3, MinIO, Ceph, Backblaze B2, Cloudflare R2, Wasabi and others."),
    settings=(
        Setting(name="bucket", label=Text("Bucket"), required=True),
        PREFIX,
        Setting(
            name="endpoint",
            label=Text("Endpoint"),
            help=Text("For example https://minio.example.com:9000; empty: Amazon."),
            variables=("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
        ),
        Setting(
            name="region",
            label=Text("Region"),
            default="us-east-1",
            variables=("AWS_REGION", "AWS_DEFAULT_REGION"),
        ),
        Setting(
            name="access_key_id",
            label=Text("Access key"),
            help=Text("Empty: the role of this machine, or what its environment has."),
            variables=("AWS_ACCESS_KEY_ID",),
        ),
        Setting(
            name="secret_access_key",
            label=Text("Secret key"),
            secret=True,
            belongs_to="access_key_id",
            help=Text("It has to be allowed to list, read, write and delete below the folder."),
            variables=("AWS_SECRET_ACCESS_KEY",),
        ),
        Setting(
            name="session_token",
            label=Text("Session token"),
            secret=True,
            help=Text("Only for keys that were given for a short time."),
            variables=("AWS_SESSION_TOKEN",),
        ),
        Setting(
            name="path_style",
            label=Text("Bucket in the path"),
            default=True,
            form=BOOLEAN,
            help=Text("Right for nearly all. Off: the bucket is the first part of the host's name."),
        ),
        STORAGE_CLASS,
        Setting(
            name="checksum",
            label=Text("Checksum kept by the server"),
            form=CHOICE,
            choices=(("", Text("none")), ("sha256", Text("SHA-256")), ("crc64nvme", Text("CRC64-NVME"))),
            help=Text("Needed by buckets with object lock. Not every server knows it."),
        ),
        Setting(
            name="lock_days",
            label=Text("Lock for days"),
            form=NUMBER,
            help=Text("Nobody can delete an archive before, not even with these keys. The bucket needs object lock."),
        ),
        Setting(
            name="lock_mode",
            label=Text("Kind of lock"),
            default="GOVERNANCE",
            form=CHOICE,
            choices=(
                ("GOVERNANCE", Text("governance: those with a special permission can lift it")),
                ("COMPLIANCE", Text("compliance: nobody can")),
            ),
        ),
        ALLOW_HTTP,
        CA_CERTIFICATE,
    ),
)

GCS = Kind(
    name="gcs",
    label=Text("Google Cloud Storage"),
    description=Text("A bucket of Google Cloud."),
    settings=(
        Setting(name="bucket", label=Text("Bucket"), required=True),
        PREFIX,
        Setting(
            name="service_account_key",
            label=Text("Key of the service account"),
            secret=True,
            form=LINES,
            help=Text("The JSON file's content. Empty: the account of this machine."),
            variables=("GOOGLE_SERVICE_ACCOUNT_KEY",),
        ),
        STORAGE_CLASS,
        Setting(name="endpoint", label=Text("Endpoint"), help=Text("Empty: Google.")),
        ALLOW_HTTP,
        CA_CERTIFICATE,
    ),
)

AZURE = Kind(
    name="azure",
    label=Text("Azure Blob Storage"),
    description=Text("A container of Microsoft Azure."),
    settings=(
        Setting(
            name="account", label=Text("Storage account"), required=True, variables=("AZURE_STORAGE_ACCOUNT_NAME",)
        ),
        Setting(name="container", label=Text("Container"), required=True),
        PREFIX,
        Setting(name="account_key", label=Text("Account key"), secret=True, variables=("AZURE_STORAGE_ACCOUNT_KEY",)),
        Setting(
            name="sas_token",
            label=Text("SAS token"),
            secret=True,
            help=Text("In place of the account key. It has to allow reading, writing, deleting and listing."),
            variables=("AZURE_STORAGE_SAS_TOKEN",),
        ),
        STORAGE_CLASS,
        Setting(name="endpoint", label=Text("Endpoint"), help=Text("Empty: Microsoft.")),
        ALLOW_HTTP,
        CA_CERTIFICATE,
    ),
)

RCLONE = Kind(
    name="rclone",
    label=Text("SFTP, SMB, WebDAV, Drive and others (rclone)"),
    description=Text("Whatever rclone reaches. The program rclone has to be on this machine."),
    settings=(
        Setting(
            name="remote",
            label=Text("Type"),
            required=True,
            help=Text(
                "rclone's name of it, for example sftp, smb, webdav or ftp; or with a colon at the end the name of "
                "a remote that was made with “rclone config” on this machine, for example drive:"
            ),
        ),
        Setting(
            name="path",
            label=Text("Folder"),
            required=True,
            help=Text("Where archives are kept on that remote; for SMB it begins with the share."),
        ),
        Setting(
            name="options",
            label=Text("Options"),
            form=LINES,
            help=Text("One per line as rclone names them, for example host = backup.example.com"),
        ),
        Setting(
            name="secret_options",
            label=Text("Secret options"),
            form=LINES,
            secret=True,
            help=Text("One per line, for example pass = … or key_pem = …; they are stored encrypted."),
            variables=("DBADMIN_RCLONE_SECRETS",),
        ),
    ),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in (LOCAL, S3, GCS, AZURE, RCLONE)}


def find_kind(name: str) -> Kind:
    """Return a kind of storage; ``ValidationFailed`` names those that there are."""
    if name not in KINDS:
        raise ValidationFailed(
            Text("There is no kind of storage “{name}”.", name=name),
            Text("Possible are: {names}.", names=", ".join(KINDS)),
        )
    return KINDS[name]


def is_elsewhere(kind: str, settings: Mapping[str, Any]) -> bool:
    """Say whether a storage survives the loss of this machine's building, as far as valid settings tell."""
    return find_kind(kind).offsite and not is_here(settings)


def problems(kind: str, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Text]:
    """Return what is wrong with which setting, by name; empty when the storage can be tried. Nothing is contacted."""
    described = find_kind(kind)
    found = {}
    for setting in described.settings:
        value = (secrets if setting.secret else settings).get(setting.name, "")
        if problem := _problem(setting, value) or problem_of(kind, setting.name, value, settings):
            found[setting.name] = problem
    for name in sorted({*settings, *secrets} - {setting.name for setting in described.settings}):
        found[name] = Text("{kind} has no setting “{name}”.", kind=described.label, name=name)
    return found


def require_valid(kind: str, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
    """Raise ``ValidationFailed`` with the first problem, if there is one."""
    described = find_kind(kind)
    for name, problem in problems(kind, settings, secrets).items():
        setting = described.setting(name)
        label = Text("{label} ({name})", label=setting.label, name=name) if setting else name
        raise ValidationFailed(Text("{label}: {problem}", label=label, problem=problem))


def _problem(setting: Setting, value: Any) -> Text | None:
    if value in ("", None):
        return Text("This has to be given.") if setting.required else None
    if setting.form == CHOICE and value not in dict(setting.choices):
        possible = ", ".join(choice for choice, _label in setting.choices if choice)
        return Text("“{value}” is none of: {possible}.", value=value, possible=possible)
    if setting.form == NUMBER and not str(value).isdecimal():
        return Text("“{value}” is no whole number.", value=value)
    if setting.form == BOOLEAN and not isinstance(value, bool):
        return Text("This is either true or false.")
    return None

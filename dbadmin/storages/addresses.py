"""Storages named by an address, such as ``s3://bucket/folder?region=eu-central-1``; keys come from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from dbadmin.exceptions import ValidationFailed
from dbadmin.storages import get_storage
from dbadmin.storages.base import Storage
from dbadmin.storages.kinds import BOOLEAN, Kind, find_kind
from dbadmin.text import Text

SCHEMES = {
    "file": "local",
    "s3": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "azure": "azure",
    "az": "azure",
    "rclone": "rclone",
}
EXAMPLES = (
    "file:///folder, s3://bucket/folder, gs://bucket/folder, azure://account/container/folder, rclone://sftp/folder"
)


@dataclass(frozen=True, kw_only=True)
class Address:
    """What ``get_storage`` takes."""

    kind: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def storage(self) -> Storage:
        """Return the storage itself; contacts nothing."""
        return get_storage(self.kind, self.settings, self.secrets)


def from_uri(uri: str, secrets: Mapping[str, str] | None = None) -> Storage:
    """Return the storage at an address. ``ValidationFailed`` says what is wrong with it."""
    return read_uri(uri, secrets).storage()


def read_uri(
    uri: str, secrets: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
) -> Address:
    """Take an address apart; an absolute path alone is a folder of this machine.

    Settings are in the query by their names (kinds.py), for rclone options as well. What is not given there comes
    from the environment variables of the kind; secrets from ``secrets``, or when that is None from there, too. An
    address with a secret in it is refused, because it would be seen in the list of processes.
    """
    known = os.environ if environment is None else environment
    try:
        parts = urlsplit(f"file://{uri}" if uri.startswith("/") else uri)
    except ValueError:  # a bracket that begins an address of IPv6 and does not end
        raise _malformed() from None
    if parts.scheme not in SCHEMES or "@" in parts.netloc or parts.fragment:
        raise _malformed()
    kind = find_kind(SCHEMES[parts.scheme])
    settings = _place(kind.name, unquote(parts.netloc), unquote(parts.path))
    _add_query(kind, settings, dict(parse_qsl(parts.query, keep_blank_values=True)))
    for setting in kind.settings:
        if not setting.secret and not settings.get(setting.name) and (value := _first(setting.variables, known)):
            settings[setting.name] = value
    if secrets is None:
        found = {each.name: _first(each.variables, known) for each in kind.settings if each.secret}
        secrets = {name: value for name, value in found.items() if value}
    return Address(kind=kind.name, settings=settings, secrets=secrets)


def _place(kind: str, host: str, path: str) -> dict[str, Any]:
    if kind == "local":
        if host not in ("", "localhost"):
            raise _malformed()
        return {"path": path}
    if not host:
        raise _malformed()
    folder = path.strip("/")
    if kind == "azure":
        container, _slash, folder = folder.partition("/")
        return {"account": host, "container": container, "prefix": folder}
    if kind == "rclone":
        # One slash parts the folder from the type; a second one makes it absolute, as with ssh:// and git.
        return {"remote": host, "path": path.removeprefix("/") or "."}
    return {"bucket": host, "prefix": folder}


def _add_query(kind: Kind, settings: dict[str, Any], query: Mapping[str, str]) -> None:
    options = []
    for name, value in query.items():
        setting = kind.setting(name)
        if setting is not None and setting.secret:
            raise ValidationFailed(
                Text("“{name}” is a secret and does not belong into an address.", name=name),
                Text("Set it in the environment: {variables}.", variables=" / ".join(setting.variables)),
            )
        if setting is None and kind.name == "rclone":
            options.append(f"{name} = {value}")
        else:
            settings[name] = value.lower() in ("1", "true", "yes") if setting and setting.form == BOOLEAN else value
    if options:
        settings["options"] = "\n".join(options)


def _first(variables: tuple[str, ...], environment: Mapping[str, str]) -> str:
    return next((environment[name] for name in variables if environment.get(name)), "")


def _malformed() -> ValidationFailed:
    return ValidationFailed(
        Text("That is no address of a storage."),
        Text(
            "Possible are {examples}; keys come from environment variables, never from the address.", examples=EXAMPLES
        ),
    )

"""Look at single settings of storages before anything is contacted."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from dbadmin.exceptions import StorageError, ValidationFailed
from dbadmin.storages.base import require_name
from dbadmin.storages.google_key import read_service_account
from dbadmin.storages.remote import is_configured, parse_options, problem_of_host, problem_of_options, problem_of_remote
from dbadmin.text import Text


def problem_of(kind: str, name: str, value: Any, settings: Mapping[str, Any]) -> Text | None:
    """Return what is wrong with a value, or None."""
    check = _CHECKS.get((kind, name)) or _CHECKS.get(("", name))
    # Options are looked at even where there are none: a remote may need some.
    return check(value or "", settings) if check and (value or name == "options") else None


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine, going by its name alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_here(settings: Mapping[str, Any]) -> bool:
    """Say whether valid settings name this machine: by rclone's type of a folder, or by a host."""
    options = parse_options(settings.get("options") or "")
    addresses = (settings.get("endpoint"), options.get("endpoint"), options.get("url"))
    hosts = (options.get("host", ""), *(_host(str(address or "")) for address in addresses))
    return settings.get("remote") == "local" or any(map(is_loopback, hosts))


def _host(address: str) -> str:
    with contextlib.suppress(ValueError):  # what is no address is the storage's to refuse
        return urlsplit(address).hostname or ""
    return ""


def _endpoint(value: str, settings: Mapping[str, Any]) -> Text | None:
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return Text("“{value}” is no address.", value=value)
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        return Text("“{value}” is no address such as https://host:9000.", value=value)
    if parts.username or parts.password:
        return Text("The address must have no name and no password in it.")
    if parts.scheme == "http" and not settings.get("allow_http") and not is_loopback(host):
        return Text("http would send archives in clear. Use https, or allow http.")
    return None


def _bucket(value: str, settings: Mapping[str, Any]) -> Text | None:
    if value != value.strip() or any(each in value for each in "/\\:?# ") or value.startswith("."):
        return Text("“{value}” is no name of a bucket; a folder in it belongs into the setting beside.", value=value)
    return None


def _prefix(value: str, settings: Mapping[str, Any]) -> Text | None:
    try:
        require_name(value.strip("/"))
    except StorageError:
        return Text("“{value}” is no folder such as backups/production.", value=value)
    return None


def _absolute(value: str, settings: Mapping[str, Any]) -> Text | None:
    if not PurePath(value).is_absolute() or "\0" in value:
        return Text("“{value}” is no absolute path.", value=value)
    if ".." in PurePath(value).parts:
        return Text("“{value}” leads back up; write the path without “..”.", value=value)
    return None


def _remote(value: str, settings: Mapping[str, Any]) -> Text | None:
    return problem_of_remote(value)


def _options(value: str | Mapping[str, str], settings: Mapping[str, Any]) -> Text | None:
    remote = str(settings.get("remote", ""))
    if is_configured(remote):
        return Text("A remote with a colon has its options in rclone's own configuration.") if value else None
    return problem_of_options(value) or problem_of_host(remote, parse_options(value))


def _secret_options(value: str | Mapping[str, str], settings: Mapping[str, Any]) -> Text | None:
    if is_configured(str(settings.get("remote", ""))):
        return Text("A remote with a colon has its secrets in rclone's own configuration.")
    return problem_of_options(value)


def _service_account(value: str, settings: Mapping[str, Any]) -> Text | None:
    try:
        read_service_account(value)
    except ValidationFailed as error:
        return error.message
    return None


def _account_key(value: str, settings: Mapping[str, Any]) -> Text | None:
    try:
        base64.b64decode(value, validate=True)
    except ValueError:
        return Text("This is no key of a storage account. Copy it in whole, without spaces around it.")
    return None


def _sas_token(value: str, settings: Mapping[str, Any]) -> Text | None:
    if all(each.partition("=")[2] for each in value.split("&")) and "sig=" in value:
        return None
    return Text("This is no SAS token: one has sig= in it. Copy it in whole, without spaces around it.")


_CHECKS: dict[tuple[str, str], Callable[[Any, Mapping[str, Any]], Text | None]] = {
    ("local", "path"): _absolute,
    ("rclone", "remote"): _remote,
    ("rclone", "options"): _options,
    ("rclone", "secret_options"): _secret_options,
    ("gcs", "service_account_key"): _service_account,
    ("azure", "account_key"): _account_key,
    ("azure", "sas_token"): _sas_token,
    ("", "ca_certificate"): _absolute,
    ("", "endpoint"): _endpoint,
    ("", "bucket"): _bucket,
    ("", "container"): _bucket,
    ("", "prefix"): _prefix,
}

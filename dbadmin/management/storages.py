"""Storages as the command line names and shows them."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.template.defaultfilters import filesizeformat

from dbadmin.backups.storage_changes import has_moved
from dbadmin.backups.storage_use import Use
from dbadmin.exceptions import UsageError
from dbadmin.models import Storage
from dbadmin.storages.kinds import BOOLEAN, NUMBER, Kind, find_kind
from dbadmin.storages.probe import StorageProbe
from dbadmin.text import Text

TRUE, FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def read_settings(kind: Kind, pairs: Sequence[str]) -> dict[str, Any]:
    """Turn ``name=value`` into settings of a kind; ``UsageError`` for a secret, which everybody could read there."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, value = _split(pair, "--set")
        setting = kind.setting(name)
        if setting is None:
            known = ", ".join(each.name for each in kind.settings if not each.secret)
            raise UsageError(
                Text("{kind} has no setting “{name}”.", kind=kind.label, name=name),
                Text("Possible are: {names}.", names=known),
            )
        if setting.secret:
            raise UsageError(
                Text("“{name}” is a secret, and arguments can be read by everybody on this machine.", name=name),
                Text("Give it by --secret-env {name}=VARIABLE or --secrets-stdin.", name=name),
            )
        found[name] = _converted(value, setting.form)
    return found


def read_secrets(kind: Kind, pairs: Sequence[str], *, from_stdin: bool) -> dict[str, str]:
    """Read secrets from environment variables (``name=VARIABLE``), or as a JSON object from standard input."""
    found: dict[str, str] = {}
    if from_stdin:
        found |= _from_stdin()
    for pair in pairs:
        name, variable = _split(pair, "--secret-env")
        if variable not in os.environ:
            raise UsageError(Text("The environment variable {name} is not set.", name=variable))
        found[name] = os.environ[variable]
    for name in found.keys() - kind.secret_names:
        raise UsageError(
            Text("{kind} has no secret “{name}”.", kind=kind.label, name=name),
            Text("Possible are: {names}.", names=", ".join(sorted(kind.secret_names)) or "–"),
        )
    return found


def _from_stdin() -> dict[str, str]:
    try:
        document = json.loads(sys.stdin.read())
    except ValueError as error:
        raise UsageError(Text("Standard input is no JSON object of secrets.")) from error
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise UsageError(Text("Standard input is no JSON object of secrets."))
    return document


def _split(pair: str, option: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals or not name:
        raise UsageError(Text("After {option} comes name=value.", option=option))
    return name, value


def _converted(value: str, form: str) -> Any:
    if form == BOOLEAN and value.lower() in TRUE | FALSE:
        return value.lower() in TRUE
    return int(value) if form == NUMBER and value.isdecimal() else value


def storage_row(use: Use) -> dict[str, Any]:
    """Return a storage as JSON; of secrets only their names, and None where they cannot be read."""
    storage, forecast = use.storage, use.forecast
    return {
        "id": storage.pk,
        "name": storage.name,
        "kind": storage.kind,
        "settings": storage.settings,
        "secrets": None if storage.is_locked else sorted(storage.secrets),
        "is_locked": storage.is_locked,
        "is_default": storage.is_default,
        "is_offsite": storage.is_offsite,
        "keys": [key.name for key in storage.keys.all()],
        "retention": storage.retention.name if storage.retention else None,
        "bandwidth_kilobytes": storage.bandwidth_kilobytes,
        "archives": use.archives,
        "used_bytes": use.used,
        "free_bytes": use.free,
        "quota_bytes": storage.quota_bytes,
        "missing_copies": use.missing,
        "damaged_copies": use.damaged,
        "growth_bytes_per_month": forecast.per_month,
        "full_in_days": None if forecast.full_in is None else round(forecast.full_in, 1),
        "forecast": forecast.words,
        "cost_per_month": use.cost,
        "currency": storage.currency,
        "checked_at": storage.checked_at,
        "problem": storage.problem,
        "is_away": storage.is_away,
        "removed_at": storage.removed_at,
    }


def storage_line(use: Use) -> str:
    """Return a storage as one line."""
    storage = use.storage
    default, offsite, locked = Text("default"), Text("offsite"), Text("locked")
    possible = ((default, storage.is_default), (offsite, storage.is_offsite), (locked, storage.is_locked))
    marks = "".join(f" {mark}" for mark, is_set in possible if is_set)
    size = filesizeformat(use.used).replace("\xa0", " ")
    held = Text("archives: {count} {size}", count=f"{use.archives:>7}", size=f"{size:>10}")
    line = f"{storage.name:<24} {storage.kind:<7} {held}{marks}  {use.forecast.words}"
    return f"{line}  {storage.problem}" if storage.problem else line


def probe_row(storage: Storage, probe: StorageProbe) -> dict[str, Any]:
    """Return what a test found."""
    return {
        "storage": storage.name,
        "ok": probe.failed is None,
        "free_bytes": probe.free_bytes,
        "stages": [
            {
                "name": each.name,
                "ok": each.ok,
                "milliseconds": each.milliseconds,
                "message": each.message,
                "hint": each.hint,
            }
            for each in probe.stages
        ],
    }


def probe_lines(probe: StorageProbe) -> Iterator[str]:
    """Return each stage with its time, as ``databases test`` does."""
    for stage in probe.stages:
        yield f"{'✓' if stage.ok else '✗'} {stage.name!s:<20} {stage.milliseconds:>8.1f} ms"
        yield from (f"  {part}" for part in (stage.message, stage.hint) if part)


def described(storage: Storage, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str] | None]:
    """Return settings and secrets as the options change them; an empty value takes a setting away.

    No secrets are returned where those that are stored cannot be read and stay as they are.
    """
    kind = find_kind(storage.kind)
    changed = storage.settings | read_settings(kind, options["set"])
    settings = {name: value for name, value in changed.items() if value != ""}
    given = read_secrets(kind, options["secret_env"], from_stdin=options["secrets_stdin"])
    given |= dict.fromkeys(kind.secret_names & set(options["forget"]), "")
    if storage.is_locked and not given and not has_moved(kind.name, storage.settings, settings):
        return settings, None
    if storage.is_locked:
        _require_again(kind, settings, given)
    secrets = given if storage.is_locked else storage.secrets | given
    return settings, {name: value for name, value in secrets.items() if value and name not in options["forget"]}


def _require_again(kind: Kind, settings: Mapping[str, Any], given: Mapping[str, str]) -> None:
    """What is given takes the place of all that cannot be read, so the storage must not lose what it needs."""
    missing = [name for name in kind.wanted_again(settings) if name not in given]
    if missing or not given:
        names = ", ".join(missing or sorted(kind.secret_names))
        raise UsageError(
            Text(
                "The stored secrets cannot be read with the present encryption key. Give again: {names}.", names=names
            ),
            Text("Give each by --secret-env NAME=VARIABLE or --secrets-stdin, or take it away with --forget NAME."),
        )


def locked_line(storage: Storage) -> str:
    """Say what to do about secrets that cannot be read."""
    return str(
        Text(
            "{storage}: the stored secrets cannot be read with the present encryption key. Give them again: {command}",
            storage=storage,
            command=f"manage.py storages edit {shlex.quote(storage.name)} --secret-env NAME=VARIABLE",
        )
    )

"""List, register, change, test and remove storages."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups import storage_changes
from dbadmin.backups.keys import require_in_use
from dbadmin.backups.storage_places import require_apart
from dbadmin.backups.storage_use import GIGABYTE, LOOK_BACK, Use, uses
from dbadmin.exceptions import UsageError
from dbadmin.judged import stored_in
from dbadmin.management.adopting import ADOPTING, AdoptingVerbs
from dbadmin.management.command import CRITICAL, DONE, Outcome, VerbCommand
from dbadmin.management.letting_go import add_let_go, require_wanted, told
from dbadmin.management.rows import find_storage
from dbadmin.management.storages import (
    described,
    locked_line,
    probe_lines,
    probe_row,
    storage_line,
    storage_row,
)
from dbadmin.management.values import amount, whole, wrong_usage
from dbadmin.models import EncryptionKey, Retention, Storage
from dbadmin.storages.kinds import KINDS, find_kind, is_elsewhere, require_valid
from dbadmin.text import Text


class Command(AdoptingVerbs, VerbCommand):
    """``storages list|show|add|edit|test|default|remove|scan|adopt``."""

    help = "List, register, change, test and remove storages. No archive is ever deleted by this."
    verbs = {
        "list": "list the storages with what is in them",
        "show": "show all about one storage",
        "add": "register a storage",
        "edit": "change a storage; its archives stay where they are",
        "test": "try everything that backups need of a storage, step by step",
        "default": "let backups that name no storage go to this one",
        "remove": "take a storage off the dashboard; its archives stay",
        **ADOPTING,
    }

    def do_list(self, options: dict[str, Any]) -> Outcome:
        """List all."""
        found = _uses(*Storage.objects.registered().select_related("retention").prefetch_related("keys"))
        lines = [*map(storage_line, found), *(locked_line(use.storage) for use in found if use.storage.is_locked)]
        return Outcome(results=[storage_row(use) for use in found], lines=lines)

    def add_show(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("name", metavar="NAME")

    def do_show(self, options: dict[str, Any]) -> Outcome:
        """Show one."""
        [use] = _uses(find_storage(options["name"]))
        row = storage_row(use)
        lines = [f"{name}: {value}" for name, value in row.items()]
        return Outcome(results=[row], lines=lines + ([locked_line(use.storage)] if use.storage.is_locked else []))

    def add_add(self, parser: ArgumentParser) -> None:
        """Add what describes a storage."""
        parser.add_argument("name", metavar="NAME", help="how it is called on the dashboard")
        parser.add_argument("--kind", choices=list(KINDS), default="local", help="default: %(default)s")
        _add_settings(parser)

    def do_add(self, options: dict[str, Any]) -> Outcome:
        """Register after its kind accepted the settings; reaching it is what ``test`` does."""
        kind = find_kind(options["kind"])
        storage = Storage(name=options["name"], kind=kind.name, is_default=Storage.is_first())
        return self._save(storage, options, action="storage.add")

    def add_edit(self, parser: ArgumentParser) -> None:
        """Add which, and what changes."""
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--rename", metavar="NAME", help="how it is called from now on")
        _add_settings(parser)
        add_let_go(parser)

    def do_edit(self, options: dict[str, Any]) -> Outcome:
        """Change what was named; a new address is taken only when the archives are found there."""
        return self._save(find_storage(options["name"]), options, action="storage.change")

    def add_test(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("name", metavar="NAME")

    def do_test(self, options: dict[str, Any]) -> Outcome:
        """Probe, keep the verdict, and show every stage with its time."""
        storage = find_storage(options["name"])
        audit.record(audit.from_shell(), "storage.test", storage)
        probe = storage_changes.check(storage)
        return Outcome(
            results=[probe_row(storage, probe)], lines=probe_lines(probe), exit_code=CRITICAL if probe.failed else DONE
        )

    def add_default(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("name", metavar="NAME")

    def do_default(self, options: dict[str, Any]) -> Outcome:
        """Make it the default."""
        storage = find_storage(options["name"])
        storage_changes.make_default(storage, actor=audit.from_shell())
        return _outcome(storage, Text("{storage}: backups that name no storage go here now.", storage=storage))

    def add_remove(self, parser: ArgumentParser) -> None:
        """Add which, and why."""
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--reason", required=True, help="why; for the audit")

    def do_remove(self, options: dict[str, Any]) -> Outcome:
        """Take it off the dashboard."""
        storage = find_storage(options["name"])
        storage_changes.remove(storage, actor=audit.from_shell(), reason=options["reason"])
        storage.refresh_from_db()
        return _outcome(storage, Text("{storage}: off the dashboard. Its archives are kept.", storage=storage))

    def _save(self, storage: Storage, options: dict[str, Any], *, action: str) -> Outcome:
        self._describe(storage, options)
        with transaction.atomic():
            released = _released(storage, options)
            changed = _changed(storage, options)
            audit.record(audit.from_shell(), action, storage, kind=storage.kind, changed=changed)
        said: list[object] = [Text("{storage}: saved.", storage=storage)]
        if changed != ["nothing"]:
            said.append(Text("Next: {command}", command=f"manage.py storages test {shlex.quote(storage.name)}"))
        said += [locked_line(storage)] if storage.is_locked else []
        said += told(released)
        if storage.is_default and action == "storage.add":
            said.append(Text("It is the first one: backups that name no storage go here."))
        return _outcome(storage, *said, let_go=released)

    def _describe(self, storage: Storage, options: dict[str, Any]) -> None:
        """Set what the options say; where archives would be lost sight of, or another storage is already, refuse."""
        settings, given = described(storage, options)
        secrets = given or {}
        with wrong_usage():
            require_valid(storage.kind, settings, secrets)
        require_apart(storage.kind, settings)
        if storage.pk:
            storage_changes.require_in_sight(storage, settings, secrets)
        storage_changes.require_own_place(storage, settings, secrets)
        if not storage.pk:
            storage.is_offsite = is_elsewhere(storage.kind, settings)
        storage.settings = settings
        if given is not None:
            storage.secrets = given


def _add_settings(parser: ArgumentParser) -> None:
    for option, metavar, said in (
        ("--set", "NAME=VALUE", "a setting of the kind, such as path=/mnt/backup; repeat it"),
        ("--secret-env", "NAME=VARIABLE", "a secret, and the environment variable that holds it; repeat it"),
        ("--forget", "NAME", "forget a stored secret"),
    ):
        parser.add_argument(option, action="append", default=[], metavar=metavar, help=said)
    parser.add_argument("--secrets-stdin", action="store_true", help="read a JSON object of secrets from stdin")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--offsite", action="store_true", default=None, help="it survives the loss of this building")
    where.add_argument("--onsite", dest="offsite", action="store_false", help="it does not")
    parser.add_argument("--key", action="append", metavar="NAME", help="encrypt for this key; repeat it; empty: none")
    parser.add_argument("--retention", metavar="NAME", help="where a schedule names none; empty: for ever")
    parser.add_argument("--quota-gb", type=amount, metavar="GB", help="room for archives; 0 is what the storage says")
    parser.add_argument("--bandwidth-kb", type=whole(0), metavar="KB", help="KB/s at most; 0 is no limit")
    parser.add_argument("--cost", type=amount, help="per GB and month")
    parser.add_argument("--currency", help="three letters, such as EUR")


def _changed(storage: Storage, options: dict[str, Any]) -> list[str]:
    """Apply the options that were given, and save; return the names of what they change."""
    simple = {
        "name": options.get("rename"),
        "is_offsite": options["offsite"],
        "bandwidth_kilobytes": options["bandwidth_kb"],
        "cost_per_gigabyte": options["cost"],
        "currency": options["currency"],
    }
    given = {name: value for name, value in simple.items() if value is not None}
    if options["quota_gb"] is not None:
        given["quota_bytes"] = int(options["quota_gb"] * GIGABYTE) or None
    if options["retention"] is not None:
        given["retention"] = _retention(options)
    for name, value in given.items():
        setattr(storage, name, value)
    try:
        storage.full_clean(exclude=("settings", "problem"))
    except ValidationError as error:
        raise UsageError(Text("It was not saved: {reasons}", reasons=" ".join(error.messages))) from error
    storage.save()
    if options["key"] is not None:
        keys = [_named(EncryptionKey, name) for name in options["key"] if name]
        require_in_use(keys, storage.name)
        storage.keys.set(keys)
        given["keys"] = options["key"]
    described_by = [pair.partition("=")[0] for pair in (*options["set"], *options["secret_env"])]
    return sorted({*given, *described_by, *options["forget"]}) or ["nothing"]


def _released(storage: Storage, options: dict[str, Any]) -> int:
    """Return how many archives go by the retention that was given; ``Refused`` when nobody said that they may."""
    if not storage.pk or options["retention"] is None:
        return 0
    same, retention = Storage.objects.filter(pk=storage.pk), _retention(options)
    return require_wanted(lambda: same.update(retention=retention), stored_in(storage), wanted=options["let_go"])


def _retention(options: dict[str, Any]) -> Retention | None:
    return _named(Retention, options["retention"]) if options["retention"] else None


def _named(model: Any, name: str) -> Any:
    found = model.objects.filter(name=name).first()
    if found is None:
        known = ", ".join(model.objects.values_list("name", flat=True)) or "–"
        raise UsageError(Text("There is none called “{name}”.", name=name), Text("Known are: {known}.", known=known))
    return found


def _uses(*storages: Storage) -> list[Use]:
    return uses(storages, since=timezone.localdate() - LOOK_BACK)


def _outcome(storage: Storage, *lines: object, **details: Any) -> Outcome:
    return Outcome(results=[storage_row(use) | details for use in _uses(storage)], lines=lines)

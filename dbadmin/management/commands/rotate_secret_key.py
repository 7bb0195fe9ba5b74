"""Give the secrets at rest a new key."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from dbadmin.management.catalogue_backup import catalogue, queue_backup
from dbadmin.management.command import CRITICAL, DONE, WARNING, Outcome, VerbCommand
from dbadmin.management.secret_key import Rotation, rotate
from dbadmin.models import Database, Job
from dbadmin.text import Text


class Command(VerbCommand):
    """``rotate_secret_key``."""

    help = (
        "Encrypt every stored secret with a new key (DBADMIN_ENCRYPTION_KEY, or encryption_key in the home folder). "
        "Can be repeated after a crash; with a key from the environment it says what to set."
    )

    def add(self, parser: ArgumentParser) -> None:
        """Add what is to become of secrets that nobody can read."""
        parser.add_argument(
            "--leave-unreadable", action="store_true",
            help="forget the former key although some secrets are opened by neither; they stay as they are",
        )  # fmt: skip

    def do(self, options: dict[str, Any]) -> Outcome:
        """Change it; exit code 1 when there is something left to set, 2 when some secrets cannot be read."""
        done = rotate(leave_unreadable=options["leave_unreadable"])
        own = catalogue() if done.finished else None
        job = queue_backup(own) if own else None
        result = {
            "finished": done.finished,
            "changed": done.changed,
            "unreadable": [asdict(each) for each in done.unreadable],
            "set": {"DBADMIN_ENCRYPTION_KEY": ",".join(done.to_set)} if done.to_set else {},
            "catalogue_backup_job": job.pk if job else None,
        }
        code = CRITICAL if done.unreadable else DONE if done.finished else WARNING
        return Outcome(results=[result], lines=[*_lines(done), *_catalogue_lines(own, job)], exit_code=code)


def _lines(done: Rotation) -> Iterator[object]:
    for label, count in done.changed.items():
        yield Text("{what}: {count} encrypted with the new key", what=label, count=count)
    for each in done.unreadable:
        yield Text("{what}, {field}: no key opens it; enter it again",
                   what=f"{each.model} #{each.id} “{each.name}”", field=each.field)  # fmt: skip
    if done.unreadable and not done.finished:
        yield Text("Not done: the former key stays beside the new one. What can be read has the new key already.")
        yield Text("Enter what is named again, or put the key it was stored with behind the others, "
                   "and call this again.")  # fmt: skip
        yield Text("To give these secrets up and forget the former key: {option}", option="--leave-unreadable")
    elif not done.finished:
        yield Text("Nothing was changed yet. Set this for every process of dbadmin, restart them, "
                   "and call this again:")  # fmt: skip
        yield f"DBADMIN_ENCRYPTION_KEY={','.join(done.to_set)}"
    elif done.to_set:
        yield Text("All secrets have the new key. Set it alone for every process of dbadmin, and restart them:")
        yield f"DBADMIN_ENCRYPTION_KEY={','.join(done.to_set)}"
    else:
        yield Text("All secrets have the new key; the former one is forgotten. Make a new Recovery Kit.")


def _catalogue_lines(own: Database | None, job: Job | None) -> Iterator[object]:
    """Say what the former key is needed for still: the stored secrets in backups of the catalogue made before."""
    if own is None:
        return
    if job:
        yield Text("A backup of the catalogue is queued (job {number}); a worker or the next tick makes it.",
                   number=job.pk)  # fmt: skip
    else:
        yield Text("No backup of the catalogue could be queued. Once nothing else works on it, make one:")
        yield f"manage.py backup run {own.slug}"
    yield Text("Until it is stored keep the old Recovery Kit, too:")
    yield Text("the former key in it opens the passwords of a catalogue that was backed up before.")

"""Give the secrets at rest a new key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dbadmin.management.command import DONE, WARNING, Outcome, VerbCommand
from dbadmin.management.secret_key import Rotation, rotate


class Command(VerbCommand):
    """``rotate_secret_key``."""

    help = (
        "Encrypt every stored secret with a new key (DBADMIN_ENCRYPTION_KEY, or encryption_key in the home folder). "
        "Can be repeated after a crash; with a key from the environment it says what to set."
    )

    def do(self, options: dict[str, Any]) -> Outcome:
        """Change it; exit code 1 when there is something left to do."""
        done = rotate()
        result = {
            "finished": done.finished,
            "changed": done.changed,
            "unreadable": done.unreadable,
            "set": {"DBADMIN_ENCRYPTION_KEY": ",".join(done.to_set)} if done.to_set else {},
        }
        code = DONE if done.finished and not done.unreadable else WARNING
        return Outcome(results=[result], lines=_lines(done), exit_code=code)


def _lines(done: Rotation) -> Iterator[str]:
    for label, count in done.changed.items():
        yield f"{label}: {count} encrypted with the new key"
    for name in done.unreadable:
        yield f"{name}: no key opens it; enter that secret again"
    if not done.finished:
        yield "Nothing was changed yet. Set this for every process of dbadmin, restart them, and call this again:"
        yield f"DBADMIN_ENCRYPTION_KEY={','.join(done.to_set)}"
    elif done.to_set:
        yield "All secrets have the new key. Set it alone for every process of dbadmin, and restart them:"
        yield f"DBADMIN_ENCRYPTION_KEY={','.join(done.to_set)}"
    else:
        yield "All secrets have the new key; the former one is forgotten. Make a new Recovery Kit."

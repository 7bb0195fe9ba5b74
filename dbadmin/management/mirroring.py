"""The verb of `backup` that copies a storage to another host."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dbadmin import audit
from dbadmin.backups.mirror import Mirrored, mirror, require_place
from dbadmin.exceptions import UsageError
from dbadmin.management.command import CRITICAL, DONE, Outcome
from dbadmin.management.progress import for_stream
from dbadmin.management.rows import find_storage
from dbadmin.management.values import wrong_usage
from dbadmin.models import Storage
from dbadmin.text import Text

MIRRORING = {"sync": "copy a storage's folder to another host with rsync; deletes nothing there without --delete"}


class MirroringVerbs:
    """Methods for a ``VerbCommand``."""

    def add_sync(self, parser: ArgumentParser) -> None:
        """Add which storage, and where to."""
        parser.add_argument("--storage", required=True, metavar="NAME", help="a storage that is a folder")
        parser.add_argument("--to", metavar="TARGET", help="user@host:/folder; the last one without")
        parser.add_argument("--delete", action="store_true", help="also remove there what was deleted here")
        parser.add_argument("--ssh-config", type=Path, metavar="PATH", help="of ssh, in place of ~/.ssh/config")

    def do_sync(self, options: dict[str, Any]) -> Outcome:
        """Copy here and now; cron may call it, too."""
        storage = find_storage(options["storage"])
        target = options["to"] or storage.mirror_target
        if not target:
            raise UsageError(Text("Say where to with --to; it is remembered."))
        if (config := options["ssh_config"]) and not os.access(config, os.R_OK):
            raise UsageError(Text("The file {path} cannot be read.", path=str(config)))
        with wrong_usage():
            require_place(target)
        done = mirror(
            storage,
            target,
            actor=audit.from_shell(),
            progress=for_stream(sys.stderr),
            delete=options["delete"],
            ssh_config=options["ssh_config"],
        )
        row = {"storage": storage.name, "target": done.target, "files": done.files, "deleted": done.deleted}
        return Outcome(
            results=[row | {"seconds": done.seconds} | _problems(done)],
            lines=_lines(storage, done),
            exit_code=DONE if done.is_whole else CRITICAL,
        )


def _problems(done: Mirrored) -> dict[str, int]:
    return {"missing": len(done.missing), "withheld": len(done.withheld), "different": len(done.different)}


def _lines(storage: Storage, done: Mirrored) -> Iterator[str]:
    sent = Text("{count} files sent to {target} in {seconds} s.", count=done.files, target=done.target,
                seconds=done.seconds)  # fmt: skip
    yield str(sent)
    if done.deleted:
        yield str(Text("{count} files deleted in {target}.", count=done.deleted, target=done.target))
    if done.missing:
        lacking = Text(
            "Archives that the catalogue has and “{storage}” lacks: {count}, such as {key}. Is its disk mounted? "
            "“backup reconcile” looks what is missing.",
            storage=storage.name,
            count=len(done.missing),
            key=done.missing[0],
        )
        yield str(lacking)
    if done.withheld:
        bad = Text(
            "Archives that were not sent because the catalogue calls them damaged or vanished: {count}, such as {key}. "
            "“backup verify” reads them again.",
            count=len(done.withheld),
            key=done.withheld[0],
        )
        yield str(bad)
    if done.different:
        unlike = Text(
            "Files that have another size in {target} than in “{storage}”: {count}, such as {name}. Nothing was "
            "replaced there. “backup verify” says whether the one here is good; if it is, remove the one there and "
            "sync again.",
            target=done.target,
            storage=storage.name,
            count=len(done.different),
            name=done.different[0],
        )
        yield str(unlike)

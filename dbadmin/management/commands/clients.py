"""The client programs of PostgreSQL: which are here, and installing those that are missing."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings

from dbadmin.engines.postgresql.clients import ClientSet, find_clients
from dbadmin.engines.postgresql.fetch import VERSIONS, install
from dbadmin.management.command import Outcome, VerbCommand


class Command(VerbCommand):
    """``clients list`` and ``clients install MAJOR``."""

    help = "Find and install the PostgreSQL programs that backups need."
    verbs: ClassVar[Mapping[str, str]] = {
        "list": "show every pg_dump that is found, the preferred first",
        "install": "fetch the programs of a major version, pinned by hash",
    }

    def add_install(self, parser: ArgumentParser) -> None:
        """Take the major version."""
        parser.add_argument("major", type=int, choices=sorted(VERSIONS))

    def do_list(self, options: dict[str, Any]) -> Outcome:
        """Show what is here."""
        return _outcome(find_clients())

    def do_install(self, options: dict[str, Any]) -> Outcome:
        """Fetch into the home folder."""
        folder = install(options["major"], Path(settings.HOME) / "postgresql")
        fetched = [client for client in find_clients() if client.folder.resolve() == folder.resolve()]
        return _outcome(fetched)


def _outcome(clients: tuple[ClientSet, ...] | list[ClientSet]) -> Outcome:
    results = [
        {
            "major": client.major,
            "version": client.version,
            "origin": client.origin,
            "zstd": client.knows_zstd,
            "folder": str(client.folder),
        }
        for client in clients
    ]
    lines = [
        f"{client.version:8} {client.origin:12} {'zstd' if client.knows_zstd else 'gzip'}  {client.folder}"
        for client in clients
    ]
    return Outcome(results=results, lines=lines)

"""The catalogue's connection, from a URL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import environ

from project.home import Unusable

KNOWN = ("sqlite:", "postgres:", "postgresql:", "psql:", "pgsql:")


def catalogue(url: str, default: Path) -> dict[str, Any]:
    """Return Django's settings of the catalogue: of ``url``, else the SQLite file ``default``.

    ``Unusable`` for a URL that is an application's, not ours.
    """
    if url and not url.startswith(KNOWN):
        raise Unusable(
            f"DATABASE_URL begins with “{url.partition('://')[0]}://”, which looks like the URL of one of your "
            "applications; dbadmin keeps its own catalogue there. Set DBADMIN_DATABASE_URL, for example to "
            "sqlite:////var/lib/dbadmin/catalogue.sqlite3."
        )
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(default)}  # a path may hold what a URL may not
    try:
        found: dict[str, Any] = environ.Env.db_url_config(url) if url else sqlite
    except ValueError:
        raise Unusable(
            "DATABASE_URL or DBADMIN_DATABASE_URL is no URL of a database; write postgresql://user:password@host:5432/"
            "name or sqlite:////var/lib/dbadmin/catalogue.sqlite3, with special characters percent-encoded."
        ) from None
    if found["ENGINE"] == "django.db.backends.sqlite3":
        found["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;",
        }
    else:
        found["CONN_MAX_AGE"] = 60
        found["CONN_HEALTH_CHECKS"] = True
        found["HOST"] = _socket_folder(url) or found.get("HOST", "")
    return found


def is_kept(found: dict[str, Any]) -> bool:
    """Say whether there is a catalogue already, as far as a file shows that: nobody asks a server here."""
    try:
        return bool(found["ENGINE"] == "django.db.backends.sqlite3" and os.path.getsize(found["NAME"]))
    except OSError:
        return False


def _socket_folder(url: str) -> str:
    """Return the folder of a socket that stands where a host does, as libpq reads it: ``%2Fvar%2Frun%2Fpostgresql``."""
    host = unquote(urlsplit(url).netloc.rpartition("@")[2].partition(":")[0])
    return host if host.startswith("/") else ""

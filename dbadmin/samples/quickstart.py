"""One command to a running dashboard: home folder, catalogue, PostgreSQL, samples, and then everything that serves."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import apsw
import django.db
import psycopg
from django.contrib.auth.models import Group, User
from django.db import connection, transaction

from dbadmin import audit
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.exceptions import DatabaseError, UsageError
from dbadmin.management.commands.serve import prepare, require_free
from dbadmin.models import Database
from dbadmin.samples import once
from dbadmin.samples.applications import SMALL, copy_projects
from dbadmin.samples.embedded import embedded_cluster
from dbadmin.samples.files import create_files
from dbadmin.samples.lock import only_one
from dbadmin.samples.postgresql import create_postgresql
from dbadmin.samples.register import Places, register, register_storage
from dbadmin.samples.sqlite import create_sqlite
from dbadmin.text import Text

ADMINISTRATOR = "admin"
HOST = "127.0.0.1"
PORTS_TRIED = 100
LAST_PORT = 65535
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without those that look like others
ANSWER_SECONDS = 60
ANSWER_POLL_SECONDS = 0.1
Say = Callable[[Text], None]


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Everything that has to be there before anything is served."""

    cluster: Cluster
    databases: list[Database]


@contextmanager
def prepared(home: Path, *, rows: str, say: Say) -> Iterator[Ready]:
    """Bring everything up, and the PostgreSQL server down again at the end, whatever ends the block.

    A second call finds what is there. ``Refused`` while another process is in this block for the same home.
    """
    with _interruptible(), only_one(home):
        say(Text("Home folder: {home}", home=str(home)))
        with _sentences(home):
            prepare()
            _protect_catalogue()
            cluster = embedded_cluster(home, say=say)
        try:
            with _sentences(home):
                cluster.start()
                databases = _samples(home, cluster, rows=rows, say=say)
            yield Ready(cluster=cluster, databases=databases)
        finally:
            cluster.stop()


def administrator() -> str:
    """Return the password of a new administrator, or nothing when there is one already."""
    with transaction.atomic():
        if User.objects.filter(username=ADMINISTRATOR).exists():
            return ""
        password = "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(4))
        user = User.objects.create_superuser(ADMINISTRATOR, password=password)
        user.groups.add(Group.objects.get(name="admin"))
        audit.record(audit.from_shell(), "user.create", user)
    return password


def free_port(first: int, say: Say) -> int:
    """Return the first port from ``first`` on that nobody listens on; ``UsageError`` when there is none."""
    if not 1 <= first <= LAST_PORT:
        raise UsageError(Text("A port is a number from 1 to {last}, not {port}.", last=LAST_PORT, port=first))
    port = next((port for port in range(first, min(first + PORTS_TRIED, LAST_PORT + 1)) if _is_free(port)), None)
    if port is None:
        require_free(HOST, first)  # says why
        return first
    if port != first:
        say(Text("Port {first} is in use; this is port {port}.", first=first, port=port))
    return port


def when_answered(address: str, tell: Callable[[], None]) -> None:
    """Call ``tell`` from another thread as soon as the page at ``address`` answers; give up after a minute."""
    threading.Thread(target=_tell_when_answered, args=(address, tell), daemon=True).start()


def prove(ready: Ready) -> list[once.Step]:
    """Back up every sample and restore two, in this process."""
    return once.prove(ready.databases, actor=audit.from_shell())


def _samples(home: Path, cluster: Cluster, *, rows: str, say: Say) -> list[Database]:
    server, folder = cluster.connection(), home / "samples"
    places = Places(
        postgresql={"host": server.host, "port": server.port, "user": server.user},
        password=server.password,
        sqlite=folder / "mangaanime.sqlite3",
        files=folder / "comet-bot",
        projects=folder / "projects",
    )
    made = create_postgresql(server.parameters(), rows)
    folder.mkdir(mode=0o700, exist_ok=True)
    create_sqlite(places.sqlite, rows)
    create_files(places.files)
    copy_projects(places.projects)
    if made:
        say(Text("Made the PostgreSQL databases {names}.", names=", ".join(made)))
    elif rows != SMALL:
        say(Text("The samples are there already; --rows changes nothing. For others choose another --home."))
    register_storage(home / "archives")
    return register(places)


@contextmanager
def _sentences(home: Path) -> Iterator[None]:
    """Say in a sentence what is in the way, such as a full disk; the next start goes on from there."""
    try:
        yield
    except (psycopg.Error, apsw.Error, django.db.Error, OSError) as error:
        raise DatabaseError(
            Text("{home} could not be prepared: {reason}.", home=str(home), reason=str(error).strip()),
            Text("Check that it may be written and has free space, then start again."),
        ) from error


def _is_free(port: int) -> bool:
    try:
        require_free(HOST, port)
    except UsageError:
        return False
    return True


def _protect_catalogue() -> None:
    """The server's group may pass through the home folder; the catalogue is none of its business."""
    if connection.vendor == "sqlite":
        os.chmod(connection.settings_dict["NAME"], 0o600)


def _tell_when_answered(address: str, tell: Callable[[], None]) -> None:
    until = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{address}login/", timeout=5):  # noqa: S310 # our own http address
                break
        except urllib.error.HTTPError:
            break  # whatever it says, it answers
        except OSError:
            time.sleep(ANSWER_POLL_SECONDS)
    try:
        tell()
    finally:
        connection.close()  # this thread's own


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end us as Ctrl-C does: by way of every ``finally``."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Looking into the files of a restored database: pg_amcheck, where it is there."""

from __future__ import annotations

import os
import tempfile

import psycopg
from psycopg import sql

from dbadmin.engines.base import Examination
from dbadmin.engines.postgresql.clients import find_clients, parallel_jobs
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.sessions import connect, sentences
from dbadmin.exceptions import CommandFailed
from dbadmin.progress import Progress
from dbadmin.text import Text

NAME = Text("Tables and indexes agree (pg_amcheck)")
OLDEST_MAJOR = 14
FOUND_CORRUPTION = 2
SHOWN = 300


def examine_server(target: PostgreSQLConnection, progress: Progress) -> tuple[Examination, ...]:
    """Check every table and index of a database that is ours alone: an extension is added to it."""
    with connect(target) as session, sentences(target):
        major = session.info.server_version // 10000
        has_extension = session.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'").fetchone()
    program = next(
        (each.program("pg_amcheck") for each in find_clients() if each.major >= max(major, OLDEST_MAJOR) and
         os.access(each.program("pg_amcheck"), os.X_OK)), "")  # fmt: skip
    if major < OLDEST_MAJOR or not program or not has_extension:
        reason = Text("pg_amcheck is not on this machine, or the extension amcheck not on the server.")
        return (_answer("skipped", reason),)
    if target.guest and not _may_add_amcheck(target):
        return (_answer("skipped", Text("{user} may not add the extension amcheck there.", user=target.user)),)
    if not target.guest:
        _quieten(target)
    progress.phase(Text("Checking tables and indexes"))
    return (_checked(target, program, progress),)


def _quieten(target: PostgreSQLConnection) -> None:
    """Adding an extension must not make the copy write into tables that are being read."""
    with connect(target) as session, sentences(target):
        for (name,) in session.execute("SELECT evtname FROM pg_event_trigger").fetchall():
            session.execute(sql.SQL("ALTER EVENT TRIGGER {} DISABLE").format(sql.Identifier(name)))


def _may_add_amcheck(target: PostgreSQLConnection) -> bool:
    """Try it: some roles that are no superusers may, where whoever runs the server allows that."""
    with connect(target) as session, sentences(target):
        try:
            session.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
        except psycopg.errors.InsufficientPrivilege:
            return False
    return True


def _checked(target: PostgreSQLConnection, program: str, progress: Progress) -> Examination:
    argv = (
        program,
        "--heapallindexed",
        "--install-missing",
        f"--jobs={parallel_jobs()}",
        f"--database={target.dbname}",
    )
    with tempfile.TemporaryFile() as said:
        try:
            ended = target.command((*argv, "--no-password")).run(
                progress=progress, stdout=said, allowed=(0, FOUND_CORRUPTION)
            )
        except CommandFailed as failed:
            return _answer("unknown", Text("pg_amcheck could not run: {reason}", reason=str(failed.message)))
        said.seek(0)
        words = said.read(SHOWN).decode(errors="replace").strip() or " ".join(ended.tail)[:SHOWN]
    if ended.exit_code == FOUND_CORRUPTION:
        return _answer("critical", Text("pg_amcheck found damage: {reason}", reason=words))
    return _answer("ok", Text("Every index entry has its row and every row its index entries."))


def _answer(verdict: str, message: Text) -> Examination:
    return Examination(name=NAME, verdict=verdict, message=message)

"""List, register, test and explain databases."""

from __future__ import annotations

import getpass
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.text import slugify

from dbadmin import audit
from dbadmin.backups.coming_back import is_called, removed, require_same_kind, said, take_back
from dbadmin.choices import EngineName, Environment, FactsLevel, Source
from dbadmin.engines import get_engine
from dbadmin.engines.base import ServerInfo
from dbadmin.exceptions import UsageError
from dbadmin.management.command import CRITICAL, DONE, Outcome, VerbCommand, find_database
from dbadmin.management.values import whole, wrong_usage
from dbadmin.models import Application, Database
from dbadmin.models.database import application_variables
from dbadmin.probing import Stage
from dbadmin.sources import Chosen, Decision, from_environment, parse_env_file, parse_url
from dbadmin.text import Text

MASK = "********"
Row = TypeVar("Row", Application, Database)


class Command(VerbCommand):
    """``databases list|add|test|explain``."""

    help = "List, register, test and explain databases."
    verbs = {
        "list": "list the registered databases",
        "add": "register a database",
        "test": "try to reach a database, step by step",
        "explain": "show where a connection comes from, and why",
    }

    def do_list(self, options: dict[str, Any]) -> Outcome:
        """List all."""
        found = list(Database.objects.registered().select_related("application"))
        return Outcome(results=[_row(database) for database in found], lines=map(_line, found))

    def add_add(self, parser: ArgumentParser) -> None:
        """Add what describes a database. A password is asked for, or read from a variable, never an argument."""
        parser.add_argument("name", metavar="NAME", help="how it is called on the dashboard")
        parser.add_argument("--application", required=True, help="the application that owns it; made when missing")
        parser.add_argument("--slug", help="short name (default: made of NAME)")
        parser.add_argument("--engine", choices=EngineName.values, help="default: what the URL says")
        parser.add_argument("--environment", choices=Environment.values, default=Environment.PRODUCTION.value)
        parser.add_argument("--project-folder", default="", help="where the application's migration files are")
        parser.add_argument("--facts", choices=FactsLevel.values, default=FactsLevel.COUNTS.value,
                            help="what is measured with each backup (default: %(default)s)")  # fmt: skip
        parser.add_argument("--facts-seconds", type=whole(0), default=0, help="longest time for that; 0 is no limit")
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--url", help="database URL; one with a password is better given by --url-env")
        where.add_argument("--url-env", metavar="VARIABLE", help="environment variable that holds the URL")
        where.add_argument("--env-file", metavar="FILE", help=".env file with the usual variables")
        where.add_argument(
            "--from-environment", action="store_true", help="read dbadmin's own environment at every connection"
        )
        where.add_argument("--path", help="SQLite file, or the folder of a file set")
        where.add_argument("--host", help="PostgreSQL server, or the folder of its socket")
        parser.add_argument("--port", type=whole(1, 65535))
        parser.add_argument("--dbname", help="name of the PostgreSQL database")
        parser.add_argument("--user", help="PostgreSQL role")
        parser.add_argument("--sslmode")
        parser.add_argument("--required", action="append", default=[], metavar="GLOB", help="files that must be there")
        parser.add_argument("--optional", action="append", default=[], metavar="GLOB", help="files that may be there")
        parser.add_argument("--password-env", metavar="VARIABLE", help="environment variable that holds the password")
        parser.add_argument("--no-input", action="store_true", help="never ask for a password")

    def do_add(self, options: dict[str, Any]) -> Outcome:
        """Register after the engine accepted the connection's settings; reaching it is what ``test`` does."""
        with wrong_usage():
            chosen = _chosen(options)
        if options["engine"] not in (None, chosen.engine):
            raise UsageError(
                Text("The connection is {found}, not {wanted}.", found=chosen.engine, wanted=options["engine"])
            )
        password = _password(options, chosen)
        with wrong_usage():
            address = get_engine(chosen.engine).connection(chosen.settings, password).address
        with transaction.atomic():
            database, returned = _saved(options, chosen, password)
            action = "database.return" if returned else "database.add"
            audit.record(audit.from_shell(), action, database, engine=chosen.engine)
        remarks = [str(remark) for remark in (*chosen.remarks, *([said(database)] if returned else []))]
        registered = Text("{database}: registered, {address}", database=database.slug, address=address)
        following = Text("Next: {command}", command=f"manage.py databases test {database.slug}")
        lines = [*remarks, registered, following]
        return Outcome(results=[_row(database) | {"remarks": remarks}], lines=lines)

    def add_test(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("slug", metavar="SLUG")

    def do_test(self, options: dict[str, Any]) -> Outcome:
        """Probe and show every stage with its time."""
        database = find_database(options["slug"])
        info = database.adapter.probe(database.connection())
        result = {
            "database": database.slug,
            "ok": info.failed is None,
            "version": info.version,
            "details": dict(info.details),
            "stages": [_stage(stage) for stage in info.stages],
        }
        return Outcome(results=[result], lines=_tested(info), exit_code=CRITICAL if info.failed else DONE)

    def add_explain(self, parser: ArgumentParser) -> None:
        """Add whose, or which file."""
        what = parser.add_mutually_exclusive_group()
        what.add_argument("slug", nargs="?", metavar="SLUG", help="default: the environment of this command")
        what.add_argument("--env-file", metavar="FILE", help="a .env file instead")

    def do_explain(self, options: dict[str, Any]) -> Outcome:
        """Show all possible sources in order of precedence and tick the one that is taken."""
        database = find_database(options["slug"]) if options["slug"] else None
        if database is not None and database.source == Source.FIELDS:
            return _explained_fields(database)
        decision = from_environment(_variables(options["env_file"]))
        return _explained(decision, database)


def _chosen(options: Mapping[str, Any]) -> Chosen:
    if options["url"]:
        return parse_url(options["url"])
    if options["url_env"]:
        return parse_url(_variable(options["url_env"]))
    if options["env_file"] or options["from_environment"]:
        return from_environment(_variables(options["env_file"])).require()
    if options["path"]:
        return _by_path(options)
    settings = {
        "host": options["host"],
        "port": options["port"],
        "name": options["dbname"],
        "user": options["user"],
        "sslmode": options["sslmode"],
    }
    return Chosen(engine="postgresql", settings={name: value for name, value in settings.items() if value})


def _by_path(options: Mapping[str, Any]) -> Chosen:
    path = str(Path(options["path"]).absolute())
    if options["engine"] == "files" or options["required"] or options["optional"]:
        settings = {"folder": path, "required": options["required"], "optional": options["optional"]}
        return Chosen(engine="files", settings=settings)
    return Chosen(engine="sqlite", settings={"path": path})


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise UsageError(Text("The variable {name} is not set.", name=name), Text("Set it for this command."))
    return value


def _variables(env_file: str | None) -> Mapping[str, str]:
    if env_file is None:
        return application_variables()
    try:
        return parse_env_file(Path(env_file).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(Text("“{path}” cannot be read: {reason}.", path=env_file, reason=error.strerror)) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            Text("“{path}” is not a text file in UTF-8.", path=env_file), Text("Save it as UTF-8.")
        ) from error


def _password(options: Mapping[str, Any], chosen: Chosen) -> str:
    if options["from_environment"]:
        return ""
    if options["password_env"]:
        return _variable(options["password_env"])
    if chosen.password or chosen.engine != "postgresql" or options["no_input"] or not sys.stdin.isatty():
        return chosen.password
    return getpass.getpass(str(Text("Password (empty for none): ")))


def _saved(options: Mapping[str, Any], chosen: Chosen, password: str) -> tuple[Database, bool]:
    """Return the database, and whether it is a removed one that has come back."""
    by_environment = bool(options["from_environment"])
    slug = options["slug"] or _slug(options["name"], "--slug")
    database = _coming_back(slug, chosen) or Database(slug=slug, engine=chosen.engine)
    described = {
        "application": _application(options["application"]),
        "name": options["name"],
        "environment": options["environment"],
        "source": Source.ENVIRONMENT if by_environment else Source.FIELDS,
        "settings": {} if by_environment else dict(chosen.settings),
        "project_folder": options["project_folder"],
        "facts_level": options["facts"],
        "facts_seconds": options["facts_seconds"],
    }
    for name, value in described.items():
        setattr(database, name, value)
    if password:
        database.password = password
    returned = database.pk is not None
    return _valid(database), returned


def _coming_back(slug: str, chosen: Chosen) -> Database | None:
    if found := removed(slug):
        with wrong_usage():
            require_same_kind(found, chosen.engine)
        take_back(found)
    return found


def _application(name: str) -> Application:
    found = next((each for each in Application.objects.all() if is_called(each, name)), None)
    if found is None:
        found = _valid(Application(name=name, slug=_slug(name, "--application")))
        audit.record(audit.from_shell(), "application.add", found)
    return found


def _slug(name: str, option: str) -> str:
    slug = slugify(name)[:50]
    if not slug:
        raise UsageError(
            Text("No short name can be made of “{name}”.", name=name),
            Text("Give one of Latin letters, digits and hyphens with {option}.", option=option),
        )
    return slug


def _valid(row: Row) -> Row:
    try:
        row.full_clean()
    except ValidationError as error:
        raise UsageError(
            Text("It was not registered: {reasons}", reasons=" ".join(error.messages)),
            Text("Where the short name is taken, choose another with --slug."),
        ) from error
    row.save()
    return row


def _row(database: Database) -> dict[str, Any]:
    return {
        "id": database.pk,
        "slug": database.slug,
        "name": database.name,
        "application": database.application.slug,
        "engine": database.engine,
        "environment": database.environment,
        "source": database.source,
        "settings": database.settings,
        "is_locked": database.is_locked,
        "project_folder": database.project_folder,
        "backup_age_hours": database.backup_age_hours,
        "facts_level": database.facts_level,
        "facts_seconds": database.facts_seconds,
        "failed_probes": database.failed_probes,
        "checked_at": database.checked_at,
        "created_at": database.created_at,
    }


def _line(database: Database) -> str:
    where = "environment" if database.source == Source.ENVIRONMENT else _shown(database.settings)
    line = f"{database.slug:<24} {database.engine:<11} {database.environment:<12} {database.application}: {where}"
    return f"{line} ({Text('its password cannot be read')})" if database.is_locked else line


def _shown(settings: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in settings.items())


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "ok": stage.ok,
        "milliseconds": stage.milliseconds,
        "message": stage.message,
        "hint": stage.hint,
    }


def _tested(info: ServerInfo) -> Iterator[str]:
    for stage in info.stages:
        yield f"{'✓' if stage.ok else '✗'} {stage.name!s:<20} {stage.milliseconds:>8.1f} ms"
        yield from (f"  {part}" for part in (stage.message, stage.hint) if part)
    if info.failed is None:
        yield str(Text("Reached: {server}", server=f"{info.version} {_shown(info.details)}".rstrip()))


def _explained_fields(database: Database) -> Outcome:
    password = MASK if database.encrypted_password else ""
    locked = Text("The stored password cannot be read with the present encryption key.")
    remarks = [str(locked)] if database.is_locked else []
    result = {
        "database": database.slug,
        "source": database.source,
        "candidates": [],
        "settings": dict(database.settings),
        "password": password,
        "remarks": remarks,
    }
    lines = [f"✓ {Text('stored fields')}  {_shown(database.settings)}" + (f" password={password}" if password else "")]
    return Outcome(results=[result], lines=[*lines, *(f"  {remark}" for remark in remarks)])


def _explained(decision: Decision, database: Database | None) -> Outcome:
    chosen = decision.chosen
    candidates = [
        {"name": one.name, "found": list(one.found), "chosen": one.chosen, "remark": one.remark}
        for one in decision.candidates
    ]
    result = {
        "database": database.slug if database else None,
        "source": Source.ENVIRONMENT.value,
        "candidates": candidates,
        "settings": dict(chosen.settings) if chosen else {},
        "password": MASK if chosen and chosen.password else "",
        "remarks": list(chosen.remarks) if chosen else [],
    }
    return Outcome(results=[result], lines=_explanation(decision), exit_code=DONE if chosen else CRITICAL)


def _explanation(decision: Decision) -> Iterator[str]:
    for place, one in enumerate(decision.candidates, 1):
        found = " ".join(f"{name}={MASK}" for name in one.found)
        yield f"{'✓' if one.chosen else ' '} {place}. {one.name:<20} {found} {one.remark}".rstrip()
    if decision.chosen is not None:
        yield f"→ {decision.chosen.engine} {_shown(decision.chosen.settings)}"
        yield from (f"  {remark}" for remark in decision.chosen.remarks)

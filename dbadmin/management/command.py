"""The base of every command: verbs, ``--json``, sentences on failure, meaningful exit codes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Exists, OuterRef, Q

from dbadmin import catalogue
from dbadmin.exceptions import DbadminError, UsageError
from dbadmin.models import Backup, Database
from dbadmin.text import Text, verbatim

DONE, WARNING, CRITICAL, UNKNOWN, USAGE, REFUSED = range(6)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a verb found or did. ``results`` become ``{"results": [...]}``; ``lines`` are printed without ``--json``."""

    results: Sequence[Mapping[str, Any]] = ()
    lines: Iterable[object] = field(default_factory=list)
    exit_code: int = DONE


class VerbCommand(BaseCommand):
    """A command whose first argument is a verb, such as ``backup run``.

    A subclass lists ``verbs`` (name -> help) and defines ``add_<verb>(parser)`` (optional) and
    ``do_<verb>(options) -> Outcome``. ``DbadminError`` becomes a sentence on standard error, or ``{"results": [],
    "error": {"class", "message", "hint"}}`` with ``--json``, and the error's own exit code. Without ``verbs`` the
    command has none and defines ``do(options)`` and ``add(parser)``.
    """

    verbs: ClassVar[Mapping[str, str]] = {}
    requires_migrations_checks = False
    requires_system_checks = ()  # `check` and `serve` do that; a restore must not fail because a page is broken

    def run_from_argv(self, argv: list[str]) -> None:
        """Run what the command line asks for; wrong usage has an exit code of its own, not the 2 of argparse."""
        self._called_from_command_line = True  # so that argparse prints how the command is used
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                self.create_parser(argv[0], argv[1]).parse_args(argv[2:])
        except SystemExit as leaving:
            self.stderr.write(said.getvalue(), ending="")
            if leaving.code and "--json" in argv:
                self._fail(UsageError(verbatim(said.getvalue().rpartition(" error: ")[2].strip())), as_json=True)
            sys.exit(USAGE if leaving.code else DONE)
        super().run_from_argv(argv)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Give every verb a parser of its own."""
        if not self.verbs:
            self._add(parser, "add")
            return
        choices = parser.add_subparsers(dest="verb", required=True, metavar="|".join(self.verbs))
        for verb, explanation in self.verbs.items():
            self._add(choices.add_parser(verb, help=explanation, description=explanation), f"add_{verb}")

    def _add(self, parser: ArgumentParser, method: str) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        getattr(self, method, lambda parser: None)(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb, print, and leave with its exit code."""
        method = f"do_{options['verb']}" if self.verbs else "do"
        try:
            outcome: Outcome = getattr(self, method)(options)
        except DbadminError as error:
            self._fail(error, as_json=options["json"])
            sys.exit(error.exit_code)
        except catalogue.TROUBLE as error:
            trouble = catalogue.explained(error)
            if trouble is None:
                raise
            self._fail(trouble, as_json=options["json"])
            sys.exit(trouble.exit_code)
        try:
            self._print(outcome, as_json=options["json"])
            self.stdout.flush()
        except BrokenPipeError:  # whoever read has read enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if outcome.exit_code:
            sys.exit(outcome.exit_code)

    def _print(self, outcome: Outcome, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(dump_json({"results": list(outcome.results)}))
        else:
            for line in outcome.lines:
                self.stdout.write(str(line))

    def _fail(self, error: DbadminError, *, as_json: bool) -> None:
        if as_json:
            what = {"class": error.label, "message": str(error.message), "hint": str(error.hint)}
            self.stdout.write(dump_json({"results": [], "error": what}))
        else:
            self.stderr.write(str(error))


def dump_json(document: Any) -> str:
    """Return indented JSON with Japanese unescaped; times as ISO 8601, sentences as text."""
    return json.dumps(document, indent=2, ensure_ascii=False, cls=_Encoder)


class _Encoder(DjangoJSONEncoder):
    def default(self, o: Any) -> Any:
        return str(o) if isinstance(o, Text) else super().default(o)


def find_database(slug: str, *, with_backups: bool = False) -> Database:
    """Return a registered database by its short name; ``UsageError`` that lists the known ones.

    ``with_backups``: also a removed one, if it has backups.
    """
    found = Database.objects.registered().select_related("application")
    if with_backups:
        found = Database.objects.select_related("application").filter(
            Q(removed_at=None) | Exists(Backup.objects.filter(database=OuterRef("pk")))
        )
    try:
        return found.get(slug=slug)
    except Database.DoesNotExist:
        known = ", ".join(found.values_list("slug", flat=True)) or "–"
        raise UsageError(
            Text("There is no database called “{slug}”.", slug=slug), Text("Known are: {known}.", known=known)
        ) from None

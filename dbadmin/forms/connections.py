"""How a connection is described: by the fields of an engine, a URL, a .env file or the environment.

Every form has ``chosen()``, valid after ``is_valid()``: the engine, its settings and the password apart. No form ever
shows a password again.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.forms.forms import DeclarativeFieldsMetaclass
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import EngineName, Source
from dbadmin.crypto import require_key
from dbadmin.engines import get_engine
from dbadmin.engines.postgresql.connection import LIBPQ_VARIABLES, SSL_MODES
from dbadmin.exceptions import DbadminError
from dbadmin.forms.styles import LinesField, PairsField, Styled
from dbadmin.models.database import application_variables
from dbadmin.sources import Candidate, Chosen, from_environment, parse_env_file, parse_url

ENV_FILE_BYTES = 64 * 1024
EMPTY: tuple[Any, ...] = ("", None, [], {})


class AbstractFormType(DeclarativeFieldsMetaclass, ABCMeta):
    """Django's forms have a metaclass of their own, which has to be one with that of abstract classes."""


class ConnectionForm(Styled, forms.Form, metaclass=AbstractFormType):
    """The common part: whatever describes the connection, the engine has the last word on it."""

    source: ClassVar[Source] = Source.FIELDS
    candidates: tuple[Candidate, ...] = ()

    def clean(self) -> dict[str, Any]:
        """Let the engine judge; its sentence is shown above the form."""
        data = super().clean() or {}
        if not self.errors:
            try:
                found = self.read(data)
                get_engine(found.engine).connection(found.settings, found.password)
                if found.password and self.source == Source.FIELDS:
                    require_key()  # to store it with
            except DbadminError as error:
                raise ValidationError(str(error)) from error
            data["chosen"] = found
        return data

    @abstractmethod
    def read(self, data: Mapping[str, Any]) -> Chosen:
        """Return the connection that the cleaned fields describe."""

    def chosen(self) -> Chosen:
        """Return the connection; only after ``is_valid()``."""
        found: Chosen = self.cleaned_data["chosen"]
        return found


class EngineFields(ConnectionForm):
    """Fields of one engine; empty ones are left to the engine's defaults."""

    engine: ClassVar[EngineName]

    def read(self, data: Mapping[str, Any]) -> Chosen:
        """Take the fields as they are; stored settings that have no field (of a URL) are kept."""
        unseen = {name: value for name, value in self.initial.items() if name not in self.fields}
        given = {name: data[name] for name in self.fields if name != "password" and data[name] not in EMPTY}
        return Chosen(engine=self.engine.value, settings=unseen | given, password=data.get("password", ""))


class PostgreSQLFields(EngineFields):
    """A PostgreSQL database."""

    engine = EngineName.POSTGRESQL
    host = forms.CharField(
        label=_("Host"), required=False, help_text=_("Name, address, or the folder of a Unix socket. Empty: localhost.")
    )
    port = forms.IntegerField(
        label=_("Port"), required=False, min_value=1, max_value=65535, help_text=_("Empty: 5432.")
    )
    name = forms.CharField(label=_("Database name"), max_length=63)
    user = forms.CharField(label=_("User"), required=False, help_text=_("A role that may read every table."))
    password = forms.CharField(
        label=_("Password"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Stored encrypted, never shown again."),
    )
    sslmode = forms.ChoiceField(
        label=_("Encryption (sslmode)"),
        required=False,
        choices=[("", "prefer"), *((m, m) for m in SSL_MODES if m != "prefer")],
    )
    sslrootcert = forms.CharField(
        label=_("Certificate of the authority (file)"), required=False, help_text=_("For verify-ca and verify-full.")
    )
    connect_timeout = forms.IntegerField(
        label=_("Give up connecting after (seconds)"),
        required=False,
        min_value=1,
        max_value=600,
        help_text=_("Empty: 10."),
    )
    pool_size = forms.IntegerField(
        label=_("Connections at most"), required=False, min_value=1, max_value=100, help_text=_("Empty: 10.")
    )
    server_settings = PairsField(
        label=_("Server settings"), required=False, help_text=_("One per line, such as statement_timeout=30000.")
    )


class SQLiteFields(EngineFields):
    """A SQLite file."""

    engine = EngineName.SQLITE
    path = forms.CharField(label=_("File"), help_text=_("The whole path, on the machine where the worker runs."))


class FilesFields(EngineFields):
    """A set of JSON and configuration files."""

    engine = EngineName.FILES
    folder = forms.CharField(label=_("Folder"), help_text=_("The whole path, on the machine where the worker runs."))
    required = LinesField(
        label=_("Required files"),
        required=False,
        help_text=_("One pattern per line, such as roles*.json. A backup fails when one matches nothing."),
    )
    optional = LinesField(
        label=_("Optional files"), required=False, help_text=_("One pattern per line. What is not there is left out.")
    )


class UrlForm(ConnectionForm):
    """A pasted URL."""

    url = forms.CharField(
        label=_("Database URL"),
        strip=True,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocomplete": "off"}),
        help_text=_("As the application has it: postgresql://…, postgresql+asyncpg://…, sqlite:///…"),
    )

    def read(self, data: Mapping[str, Any]) -> Chosen:
        """Read the URL."""
        return parse_url(data["url"])


class EnvFileForm(ConnectionForm):
    """A .env file, uploaded or pasted."""

    file = forms.FileField(label=_(".env file"), required=False)
    content = forms.CharField(
        label=_("or its lines"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "autocomplete": "off"}),
        help_text=_("Only the database variables are read; nothing else is kept."),
    )

    def clean_file(self) -> str:
        """Return the text of the upload."""
        upload = self.cleaned_data["file"]
        if not upload:
            return ""
        if upload.size > ENV_FILE_BYTES:
            raise ValidationError(_("This is too large for a .env file."))
        try:
            return str(upload.read().decode())
        except UnicodeDecodeError:
            raise ValidationError(_("This is not a text file in UTF-8.")) from None

    def read(self, data: Mapping[str, Any]) -> Chosen:
        """Decide between the variables by precedence."""
        decision = from_environment(parse_env_file(data["file"] or data["content"]))
        self.candidates = decision.candidates
        return decision.require()


class EnvironmentForm(ConnectionForm):
    """The environment variables of dbadmin itself, read anew at every connection."""

    source = Source.ENVIRONMENT

    def read(self, data: Mapping[str, Any]) -> Chosen:
        """Decide between the variables by precedence."""
        decision = from_environment(application_variables())
        self.candidates = decision.candidates
        return decision.require()


FIELDS: dict[str, type[EngineFields]] = {
    form.engine.value: form for form in (PostgreSQLFields, SQLiteFields, FilesFields)
}
OTHER_WAYS: dict[str, type[ConnectionForm]] = {"url": UrlForm, "env": EnvFileForm, "environment": EnvironmentForm}


def as_lines(settings: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Return settings, which hold no secrets, as names with lines to show, the most telling first."""
    order = ("host", "port", "name", "user", "path", "folder", *LIBPQ_VARIABLES)
    names = sorted(settings, key=lambda name: order.index(name) if name in order else len(order))
    return [(name, _lines(settings[name])) for name in names]


def _lines(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{name}={each}" for name, each in value.items()]
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]

"""Put the samples on the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction

from dbadmin.choices import Environment
from dbadmin.models import Application, Database, Storage
from dbadmin.samples import files
from dbadmin.samples.applications import APPLICATIONS, SampleDatabase


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the samples are. ``postgresql`` are stored settings: host, port, user."""

    postgresql: Mapping[str, Any]
    password: str = ""
    sqlite: Path
    files: Path
    projects: Path


@transaction.atomic
def register(places: Places) -> list[Database]:
    """Make the catalogue's rows of all samples, or bring their connections up to date; what else is there stays.

    A sample that somebody removed from the dashboard stays removed. Returns those that are on it.
    """
    for sample in APPLICATIONS:
        application, _ = Application.objects.get_or_create(
            slug=sample.slug, defaults={"name": sample.name, "description": sample.description}
        )
        for database in sample.databases:
            _register(application, database, places)
    slugs = [database.slug for sample in APPLICATIONS for database in sample.databases]
    return list(Database.objects.registered().filter(slug__in=slugs).select_related("application"))


def register_storage(folder: Path) -> Storage:
    """Return the storage in ``folder``, made when it is missing; the default one when there is no other default."""
    storage, _ = Storage.objects.get_or_create(
        name="This machine",
        defaults={
            "kind": "local",
            "settings": {"path": str(folder)},
            "is_default": not Storage.objects.filter(is_default=True).exists(),
        },
    )
    return storage


def _register(application: Application, sample: SampleDatabase, places: Places) -> None:
    database = Database.objects.filter(slug=sample.slug).first() or Database(
        application=application,
        slug=sample.slug,
        name=sample.name,
        engine=sample.engine,
        environment=Environment.DEVELOPMENT,
        project_folder=str(places.projects / sample.project) if sample.project else "",
    )
    database.settings = database.settings | _settings(sample, places)
    if sample.postgresql:
        database.password = places.password
    database.save()


def _settings(sample: SampleDatabase, places: Places) -> dict[str, Any]:
    if sample.postgresql:
        return dict(places.postgresql) | {"name": sample.postgresql.name}
    if sample.engine == "sqlite":
        return {"path": str(places.sqlite)}
    return {"folder": str(places.files), "required": list(files.REQUIRED), "optional": list(files.OPTIONAL)}

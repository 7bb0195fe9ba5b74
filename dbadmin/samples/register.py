"""Put the samples on the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from dbadmin.choices import Environment, Source
from dbadmin.models import Application, Database, Storage
from dbadmin.samples import files
from dbadmin.samples.applications import APPLICATIONS, SampleDatabase
from dbadmin.samples.schedules import make_schedules


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

    The first time, schedules for everything are made as well. A sample that somebody removed from the dashboard stays
    removed. Returns those that are on it.
    """
    slugs = [database.slug for sample in APPLICATIONS for database in sample.databases]
    if not Database.objects.filter(slug__in=slugs).exists():
        make_schedules(timezone.now())
    for sample in APPLICATIONS:
        application, _ = Application.objects.get_or_create(
            slug=sample.slug, defaults={"name": sample.name, "description": sample.description}
        )
        for database in sample.databases:
            _register(application, database, places)
    return list(Database.objects.registered().filter(slug__in=slugs).select_related("application"))


def register_storage(folder: Path) -> Storage | None:
    """Return the default storage; one that was in a home folder which was moved since is found in ``folder``."""
    storage = Storage.default()
    if storage and storage.kind == "local" and folder.exists() and not Path(storage.settings["path"]).exists():
        storage.settings = storage.settings | {"path": str(folder)}
        storage.save()
    return storage


def _register(application: Application, sample: SampleDatabase, places: Places) -> None:
    settings = _settings(sample, places)
    database = Database.objects.filter(slug=sample.slug).first()
    if database is None:
        database = Database(
            application=application,
            slug=sample.slug,
            name=sample.name,
            engine=sample.engine,
            environment=Environment.DEVELOPMENT,
            project_folder=str(places.projects / sample.project) if sample.project else "",
        )
    elif not _is_the_samples(database, sample, settings):
        return
    database.settings = database.settings | settings
    if sample.postgresql:
        database.password = places.password
    database.save()


def _is_the_samples(database: Database, sample: SampleDatabase, settings: Mapping[str, Any]) -> bool:
    """Tell a sample whose place may have changed from one that somebody pointed at a database of theirs."""
    former = database.settings
    if database.engine != sample.engine or database.source != Source.FIELDS:
        return False
    if database.engine == "postgresql":
        same = all(former.get(name) == settings.get(name) for name in ("name", "user"))
        return same and str(former.get("host", "")).startswith("/")
    return not Path(former.get("path") or former.get("folder") or "/").exists()


def _settings(sample: SampleDatabase, places: Places) -> dict[str, Any]:
    if sample.postgresql:
        return dict(places.postgresql) | {"name": sample.postgresql.name}
    if sample.engine == "sqlite":
        return {"path": str(places.sqlite)}
    return {"folder": str(places.files), "required": list(files.REQUIRED), "optional": list(files.OPTIONAL)}

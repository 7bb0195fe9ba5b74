"""How each tool's migrations lie in a project folder. A reader returns None where the tool is not used."""

from __future__ import annotations

from collections.abc import Callable

from dbadmin.migration_history.project import Folder, Project
from dbadmin.migration_history.readers import alembic, django, prisma

READERS: dict[str, Callable[[Folder], Project | None]] = {
    "alembic": alembic.read,
    "prisma": prisma.read,
    "django": django.read,
}

"""What is wrong when our own catalogue cannot be used, as a sentence."""

from __future__ import annotations

import re

from django.db import Error, InterfaceError, OperationalError, ProgrammingError, connections

from dbadmin.exceptions import CatalogueError
from dbadmin.text import Text

# Trouble of the catalogue; other errors of a database are our bugs.
TROUBLE = (OperationalError, ProgrammingError, InterfaceError)
MISSING = re.compile(r"no such (table|column)|has no column|(relation|column) \S+ (of relation \S+ )?does not exist")


def explained(error: Exception) -> CatalogueError | None:
    """Return the sentence for an error of Django's connection to the catalogue; None when it is a bug of ours."""
    said = str(error)
    if isinstance(error, TROUBLE) and MISSING.search(said):
        return _without_tables()
    if isinstance(error, ProgrammingError) or not isinstance(error, TROUBLE):
        return None
    reason = (said.strip() or type(error).__name__).splitlines()[0]
    return CatalogueError(
        Text("The catalogue cannot be read or written: {reason}. Is the disk full?", reason=reason.rstrip(".")),
        Text(
            "Look at the free space and the rights of the home folder; where DATABASE_URL names a server, look whether "
            "it runs."
        ),
    )


def is_of_another_application() -> bool:
    """Say whether the catalogue's database has tables, and none of them is ours."""
    with connections["default"].cursor() as cursor:
        tables = connections["default"].introspection.table_names(cursor)
    return bool(tables) and not any(table.startswith("dbadmin_") for table in tables)


def _without_tables() -> CatalogueError | None:
    try:
        foreign = is_of_another_application()
    except Error:
        foreign = False
    if foreign:
        return CatalogueError(
            Text("The database of DATABASE_URL belongs to another application; it holds no catalogue of dbadmin."),
            Text("Give dbadmin a database of its own: set DBADMIN_DATABASE_URL."),
        )
    return CatalogueError(
        Text("The catalogue is empty or of an older version of dbadmin."),
        Text("Run: manage.py migrate (`serve` does it when it starts). Check DBADMIN_HOME, too."),
    )

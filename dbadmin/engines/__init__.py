"""The kinds of database, by name."""

from __future__ import annotations

from dbadmin.engines.base import Engine
from dbadmin.engines.files import FilesEngine
from dbadmin.engines.postgresql import PostgreSQLEngine
from dbadmin.engines.sqlite import SQLiteEngine

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (PostgreSQLEngine(), SQLiteEngine(), FilesEngine())}


def get_engine(name: str) -> Engine:
    """Return a registered engine; KeyError for a name that is none."""
    return ENGINES[name]

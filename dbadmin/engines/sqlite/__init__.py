"""SQLite database files."""

from __future__ import annotations

from dbadmin.engines.sqlite.connection import SQLiteConnection
from dbadmin.engines.sqlite.engine import SQLiteEngine

__all__ = ["SQLiteConnection", "SQLiteEngine"]

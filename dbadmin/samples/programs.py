"""PostgreSQL programs for the samples where the system has none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.exceptions import ToolMissing
from dbadmin.text import Text


def fetch_programs(major: int, folder: Path, say: Callable[[Text], None]) -> Path:
    raise ToolMissing(Text("x"))


def require_client(server: PostgreSQLConnection, say: Callable[[Text], None]) -> None:
    return

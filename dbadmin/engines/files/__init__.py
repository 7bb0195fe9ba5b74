"""Sets of JSON and other files."""

from __future__ import annotations

from dbadmin.engines.files.engine import FilesEngine
from dbadmin.engines.files.selection import FilesConnection

__all__ = ["FilesConnection", "FilesEngine"]

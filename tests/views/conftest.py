"""The small SQLite shop of the backup tests, with a storage and a backup."""

from __future__ import annotations

from tests.backups.conftest import backup, database, storage

__all__ = ["backup", "database", "storage"]

"""dbadmin: the backups, restores, health and migrations of the databases of several applications."""

from __future__ import annotations

__version__ = "0.1.0"

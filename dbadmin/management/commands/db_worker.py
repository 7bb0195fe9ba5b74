"""The worker of django-tasks, with everything that it will need already imported.

It outlives an update of the files it was started from: what it imported only at its first job would be of another
version than the rest of it.
"""

from __future__ import annotations

from typing import Any

from django_tasks_db.management.commands.db_worker import Command as DatabaseWorker

from dbadmin.jobs import execution
from dbadmin.jobs.presence import Presence

__all__ = ["Command", "execution"]


class Command(DatabaseWorker):
    """Others see it work."""

    def handle(self, *, queue_name: str, **options: Any) -> None:
        """Listen until a signal."""
        with Presence(queue_name.split(",")):
            super().handle(queue_name=queue_name, **options)

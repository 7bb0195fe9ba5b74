"""The worker of django-tasks, with everything that it will need already imported.

It outlives an update of the files it was started from: what it imported only at its first job would be of another
version than the rest of it.
"""

from __future__ import annotations

from django_tasks_db.management.commands.db_worker import Command

from dbadmin.jobs import execution

__all__ = ["Command", "execution"]

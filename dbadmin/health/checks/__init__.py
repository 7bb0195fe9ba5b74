"""The checks, one file per concern; importing a file registers its checks, and this is the order they are shown in."""

from __future__ import annotations

from dbadmin.health.checks import reachable as reachable  # isort: skip
from dbadmin.health.checks import backups as backups  # isort: skip
from dbadmin.health.checks import archives as archives  # isort: skip
from dbadmin.health.checks import schedules as schedules  # isort: skip
from dbadmin.health.checks import postgresql as postgresql  # isort: skip
from dbadmin.health.checks import sqlite as sqlite  # isort: skip
from dbadmin.health.checks import files as files  # isort: skip
from dbadmin.health.checks import size as size  # isort: skip
from dbadmin.health.checks import migrations as migrations  # isort: skip

"""The project's settings, with a home folder that lives as long as the tests, one for each process that runs them."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

if "DBADMIN_TEST_HOME" not in os.environ:
    os.environ["DBADMIN_TEST_HOME"] = tempfile.mkdtemp(prefix="dbadmin-tests-")
    atexit.register(shutil.rmtree, os.environ["DBADMIN_TEST_HOME"], ignore_errors=True)
os.environ["DBADMIN_HOME"] = os.path.join(os.environ["DBADMIN_TEST_HOME"], os.environ.get("PYTEST_XDIST_WORKER", ""))

from project.settings import *  # noqa: F403
from project.settings import DATABASES, HOME, STATIC_ROOT, STORAGES

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory: workers in other processes have to see it.
    DATABASES["default"]["TEST"] = {"NAME": str(HOME / "test-catalogue.sqlite3")}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Nothing is collected for tests: pages name the files as they are, the live server finds them in their folders.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
STATIC_ROOT.mkdir(exist_ok=True)
CRONTAB_EXECUTABLE = os.environ.get("DBADMIN_TEST_CRONTAB", "/usr/bin/crontab")

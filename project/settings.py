"""Settings: from the environment only; README lists every variable with its default."""

from __future__ import annotations

import hashlib
import secrets
import sys
from pathlib import Path
from typing import Any

import environ
from cryptography.fernet import Fernet
from django.utils.translation import gettext_lazy as _

from project.catalogue import catalogue, is_kept
from project.home import brings_key, for_cron, secret, usable
from project.queues import redis_url, rq_queues, site, tasks
from project.variables import encryption_key, flag, log_level, number, one_of, time_zone

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

HOME = Path(env.str("DBADMIN_HOME", default=str(BASE_DIR / ".dbadmin"))).absolute()
# Variables for those who start us without any, such as cron; the real environment wins.
with usable(HOME):
    if (HOME / "environment").is_file():
        env.read_env(HOME / "environment")
SECRET_KEY = env.str("SECRET_KEY", default="") or secret(HOME, "secret_key", lambda: secrets.token_urlsafe(50))
DEBUG = flag(env, "DEBUG")
HTTPS = flag(env, "DBADMIN_HTTPS")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# Folders with PostgreSQL client programs, tried before every other place.
POSTGRESQL_BIN = env.list("DBADMIN_POSTGRESQL_BIN", default=[])
# Where restores asked for on the web may make files and folders, besides near the originals.
RESTORE_FOLDERS = [folder for folder in env.list("DBADMIN_RESTORE_FOLDERS", default=[]) if folder.startswith("/")]
# Where storages that are added on the web may be, besides the home folder's archives and beside registered ones.
STORAGE_FOLDERS = [folder for folder in env.list("DBADMIN_STORAGE_FOLDERS", default=[]) if folder.startswith("/")]
WORKERS = number(env, "DBADMIN_WORKERS", default=2)
DUMP_JOBS = number(env, "DBADMIN_DUMP_JOBS", default=2)
# Folders whose dumps may be imported from the web, and how large an upload may be.
IMPORT_FOLDERS = [folder for folder in env.list("DBADMIN_IMPORT_FOLDERS", default=[]) if folder.startswith("/")]
UPLOAD_LIMIT_MB = number(env, "DBADMIN_UPLOAD_LIMIT_MB", default=2048)
# The proxy in front of us, whose X-Forwarded-For is believed; empty: nobody's.
TRUSTED_PROXY = env.str("DBADMIN_TRUSTED_PROXY", default="")

INSTALLED_APPS = [
    "dbadmin.apps.DbadminConfig",
    "dbadmin.apps.AdministrationConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_crontab",
    "django_tasks",
    "django_tasks_db",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "project.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
            ],
        },
    }
]

# Not written as a URL: any character may be in the folder's name.
CATALOGUE: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(HOME / "catalogue.sqlite3")}
# DBADMIN_DATABASE_URL is for a shell in which DATABASE_URL is an application's.
CATALOGUE_URL = env.str("DBADMIN_DATABASE_URL", default="") or env.str("DATABASE_URL", default="")
DATABASES = {"default": catalogue(CATALOGUE_URL, HOME / "catalogue.sqlite3")}

if ENCRYPTION_KEY := env.str("DBADMIN_ENCRYPTION_KEY", default=""):
    encryption_key(ENCRYPTION_KEY, source="DBADMIN_ENCRYPTION_KEY")
    ENCRYPTION_KEY_FILE = None
else:
    ENCRYPTION_KEY_FILE = HOME / "encryption_key"
    # A catalogue that is there, or comes back, has secrets of a key that is not: a new one would open none of them.
    if ENCRYPTION_KEY_FILE.exists() or not (is_kept(DATABASES["default"]) or brings_key(sys.argv)):
        ENCRYPTION_KEY = secret(HOME, "encryption_key", lambda: Fernet.generate_key().decode())
        encryption_key(ENCRYPTION_KEY, source=str(ENCRYPTION_KEY_FILE))
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The bell that wakes workers: rows in the catalogue, or Redis for workers on many machines.
REDIS_URL = redis_url(env, "DBADMIN_REDIS_URL")
TASKS = {"default": tasks(REDIS_URL)}
RQ_QUEUES = rq_queues(REDIS_URL)
# The site whose databases the workers of this machine are for.
SITE = site(env, "DBADMIN_SITE")
# One line, forever: schedules are rows in the catalogue, so that the crontab never has to change.
CRONJOBS = [("* * * * *", "dbadmin.cron.tick")]
CRONTAB_COMMENT = f"dbadmin {hashlib.sha256(str(HOME).encode()).hexdigest()[:12]}"
CRONTAB_LOCK_JOBS = False
# cron starts with an empty environment in the home directory of its user, and cuts a command at “%”; everything
# else that we need is read from the home folder.
CRONTAB_COMMAND_PREFIX = f"cd {for_cron(BASE_DIR)} && DBADMIN_HOME={for_cron(HOME)}"
CRONTAB_PYTHON_EXECUTABLE = for_cron(sys.executable)
CRONTAB_DJANGO_MANAGE_PATH = "manage.py"

LANGUAGES = [("en", _("English")), ("ja", _("Japanese"))]
LANGUAGE_CODE = one_of(env, "LANGUAGE_CODE", [code for code, _name in LANGUAGES], default="en")
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = time_zone(env, "TIME_ZONE")
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_CSP = {
    "default-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'self'"],
    "form-action": ["'self'"],
    "object-src": ["'none'"],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1 << 20

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"expected": {"()": "project.logging.Expected"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "line"}},
    # At the loggers, whatever handler takes their records: pages that are refused or not there are a line each.
    "loggers": {name: {"filters": ["expected"]} for name in ("django.request", "django.security.csrf")},
    "root": {"handlers": ["stderr"], "level": log_level(env, "LOG_LEVEL")},
}

"""How workers are woken: the settings of django-tasks and RQ."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any

import environ

from project.home import Unusable

SCHEMES = ("redis://", "rediss://", "unix://")


def redis_url(env: environ.Env, name: str) -> str:
    """Return the URL of a Redis, or empty. ``Unusable`` when it is none, or the packages for it are not installed."""
    url: str = env.str(name, default="").strip()
    if url and not url.startswith(SCHEMES):
        raise Unusable(f"{name} is no URL of a Redis. Write redis://:password@host:6379/0, rediss://… or unix://….")
    if url and find_spec("django_tasks_rq") is None:
        raise Unusable(
            f"{name} is set, but the packages for Redis are not installed. Install them with `uv sync --extra redis`, "
            f"or unset {name}."
        )
    return url


def tasks(url: str) -> dict[str, Any]:
    """Return django-tasks' backend. The names of queues are not listed: every site has two of its own."""
    if url:
        return {"BACKEND": "dbadmin.jobs.bells.redis.RedisBackend", "QUEUES": []}
    return {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": []}


def rq_queues(url: str) -> dict[str, dict[str, Any]]:
    """Return what RQ's own tools read: jobs have no time limit there."""
    return {name: {"URL": url, "DEFAULT_TIMEOUT": -1} for name in ("long", "short")} if url else {}


def site(env: environ.Env, name: str) -> str:
    """Return the short name of a site, or empty."""
    value: str = env.str(name, default="").strip()
    if value and not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", value):
        raise Unusable(f"{name}={value} is not a value for it. Write at most 40 letters, digits, - and _.")
    return value

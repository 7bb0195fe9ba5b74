"""Variables of the environment that have to be of a kind; a wrong value ends in a sentence that names the variable."""

from __future__ import annotations

import logging
from collections.abc import Collection
from zoneinfo import ZoneInfo

import environ
from cryptography.fernet import Fernet

from project.home import Unusable

TRUE = ("1", "true", "yes", "y", "on", "ok")
FALSE = ("", "0", "false", "no", "n", "off")


def flag(env: environ.Env, name: str) -> bool:
    """Return a yes or no; no when it is not set."""
    value = env.str(name, default="").strip().lower()
    if value not in TRUE + FALSE:
        raise _wrong(name, value, "Write 1 or 0.")
    return value in TRUE


def number(env: environ.Env, name: str, *, default: int) -> int:
    """Return a number of at least 1."""
    value = env.str(name, default="").strip()
    if value and not (value.isascii() and value.isdecimal() and int(value)):
        raise _wrong(name, value, "Write a number from 1.")
    return int(value or default)


def one_of(env: environ.Env, name: str, allowed: Collection[str], *, default: str) -> str:
    """Return a word of those that are allowed."""
    value: str = env.str(name, default="") or default
    if value not in allowed:
        raise _wrong(name, value, f"Write one of {', '.join(allowed)}.")
    return value


def log_level(env: environ.Env, name: str) -> str:
    """Return the name of a level, in capitals."""
    value = env.str(name, default="").upper() or "WARNING"
    if value not in logging.getLevelNamesMapping():
        raise _wrong(name, value, "Write DEBUG, INFO, WARNING or ERROR.")
    return value


def time_zone(env: environ.Env, name: str) -> str:
    """Return the name of a zone that this machine knows."""
    value: str = env.str(name, default="") or "UTC"
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise _wrong(name, value, "Write a zone such as Asia/Tokyo or UTC.") from error
    return value


def encryption_key(key: str, *, source: str) -> str:
    """Return the key for stored passwords, or two while it changes; ``source`` is where it came from.

    A wrong one is not repeated.
    """
    try:
        for each in key.replace(",", " ").split() or [""]:
            Fernet(each)
    except ValueError as error:
        raise Unusable(
            f"The key of {source} is none: it has to be 32 bytes in base64, as dbadmin makes one. Put back the one "
            "with which the stored passwords were encrypted, or unset DBADMIN_ENCRYPTION_KEY."
        ) from error
    return key


def _wrong(name: str, value: str, hint: str) -> Unusable:
    return Unusable(f"{name}={value} is not a value for it. {hint}")

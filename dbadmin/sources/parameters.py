"""The parameters of a PostgreSQL URL: whose they are and what becomes of them."""

from __future__ import annotations

import shlex
from typing import Any

from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text

MOST_CONNECTIONS = 10
_KEPT = {
    "host": "host",
    "user": "user",
    "dbname": "name",
    "sslmode": "sslmode",
    **{
        name: name
        for name in (
            *("sslrootcert", "sslcert", "sslkey", "sslcrl"),
            *("channel_binding", "gssencmode", "krbsrvname", "target_session_attrs"),
        )
    },
}
_NUMBERS = {
    "port": "port",
    "connect_timeout": "connect_timeout",
    "connection_limit": "pool_size",
    "pool_size": "pool_size",
}
_SERVER = {
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "search_path",
    "timezone",
    "work_mem",
    "role",
}
_PRISMA = {"pool_timeout", "socket_timeout", "pgbouncer", "statement_cache_size", "sslaccept", "sslidentity"}
_QUIET = {"application_name", "fallback_application_name", "client_encoding"}


def apply_parameter(settings: dict[str, Any], name: str, value: str) -> Text | None:
    """Put a parameter into the settings; return what the reader should know about it, if anything."""
    known = name.lower()
    if known in _KEPT:
        settings[_KEPT[known]] = value
    elif known in _NUMBERS:
        return _number(settings, known, value)
    elif known in _SERVER:
        _server_settings(settings)[known] = value
    elif known == "options":
        return _options(settings, value)
    elif known == "ssl":
        return _ssl(settings, value)
    elif known not in _QUIET:
        return _remark(known, value)
    return None


def _remark(name: str, value: str) -> Text:
    if name == "schema":
        return Text(
            "“schema={value}” is Prisma's search path. A backup holds all schemas, so it is not used.", value=value
        )
    if name in _PRISMA:
        return Text("“{name}” is a setting of Prisma's own; PostgreSQL does not know it. It is not used.", name=name)
    return Text("The parameter “{name}” is unknown and is not used.", name=name)


def _number(settings: dict[str, Any], name: str, value: str) -> Text | None:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ValidationFailed(
            Text("The parameter {name} has to be a number, not “{value}”.", name=name, value=value),
            Text("Correct the URL."),
        )
    settings[_NUMBERS[name]] = number = int(value)
    if _NUMBERS[name] == "connect_timeout" and not number:
        del settings["connect_timeout"]
        return Text("“connect_timeout=0” would wait for ever; the usual limit is used.")
    if _NUMBERS[name] == "pool_size" and not 1 <= number <= MOST_CONNECTIONS:
        settings["pool_size"] = MOST_CONNECTIONS
        return Text(
            "“{name}={value}”: dbadmin uses at most {most} connections.", name=name, value=number, most=MOST_CONNECTIONS
        )
    if name == "connection_limit":
        return Text("“connection_limit” is Prisma's; dbadmin takes it as the size of its own pool.")
    return None


def _server_settings(settings: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = settings.setdefault("server_settings", {})
    return found


def _options(settings: dict[str, Any], value: str) -> Text | None:
    """Read ``-c name=value`` and ``--name=value``, which is how libpq passes settings to the server."""
    try:
        words = shlex.split(value.replace("-c ", "-c"))
    except ValueError:
        words = [value]
    for word in words:
        name, equals, setting = word.removeprefix("--").removeprefix("-c").partition("=")
        if not equals or not word.startswith("-"):
            return Text("The parameter “{name}” could not be read and is not used.", name="options")
        _server_settings(settings)[name.replace("-", "_")] = setting
    return None


def _ssl(settings: dict[str, Any], value: str) -> Text:
    """asyncpg and JDBC write ``ssl`` where libpq has ``sslmode``."""
    mode = {"true": "require", "1": "require", "false": "disable", "0": "disable"}.get(value.lower(), value.lower())
    settings["sslmode"] = mode
    return Text("“ssl={value}” is taken as “sslmode={mode}”.", value=value, mode=mode)

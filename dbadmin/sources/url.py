"""Database URLs as SQLAlchemy, Prisma, Django and libpq write them. No sentence ever shows a part of a password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from dbadmin.exceptions import ValidationFailed
from dbadmin.sources.parameters import apply_parameter
from dbadmin.sources.values import Chosen
from dbadmin.text import Text

_POSTGRESQL = {"postgresql", "postgres", "psql", "pgsql", "postgis"}
_SQLITE = {"sqlite", "sqlite3"}
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]*")


def parse_url(url: str) -> Chosen:
    """Read a database URL; ``ValidationFailed`` says what is wrong without showing a part of it that may be secret.

    Driver suffixes (``+asyncpg``) are dropped, everything is percent-decoded. Parameters that are not the server's
    or the client library's are explained in ``remarks``.
    """
    text = url.strip().strip("\"'").removeprefix("jdbc:")
    if "\0" in text or "\n" in text:
        raise ValidationFailed(Text("The URL holds a character that is not allowed."))
    scheme, colon, rest = text.partition(":")
    kind = scheme.lower().partition("+")[0]
    if not colon or not _SCHEME.fullmatch(scheme):
        raise ValidationFailed(Text("This is not a database URL."), _supported())
    if kind == "file" or (kind in _SQLITE and rest.startswith("//")):
        return _sqlite(kind, rest)
    if kind in _POSTGRESQL and rest.startswith("//") and not scheme.lower().startswith("prisma"):
        return _postgresql(rest[2:])
    raise ValidationFailed(Text("URLs that begin with “{scheme}:” are not supported.", scheme=scheme), _supported())


def _supported() -> Text:
    return Text(
        "Supported are {forms}.", forms="postgresql://user:password@host:5432/name, sqlite:////path, file:/path"
    )


@dataclass
class _Parts:
    user: str = ""
    password: str = ""
    hosts: str = ""
    name: str = ""
    parameters: list[tuple[str, str]] = field(default_factory=list)


def _postgresql(rest: str) -> Chosen:
    parts = _split(rest)
    settings: dict[str, Any] = dict(_address(parts.hosts))
    if parts.user:
        settings["user"] = _decoded(parts.user)
    if parts.name:
        settings["name"] = _decoded(parts.name)
    remarks: list[Text] = []
    secrets = {"password": _decoded(parts.password)}
    for name, value in parts.parameters:
        if name == "password":
            secrets["password"] = value
        elif remark := apply_parameter(settings, name, value):
            remarks.append(remark)
    settings.setdefault("host", "localhost")
    settings.setdefault("port", 5432)
    if not settings.get("name"):
        raise ValidationFailed(
            Text("The URL names no database."), Text("Write its name after the host: postgresql://user@host/name.")
        )
    return Chosen(engine="postgresql", settings=settings, password=secrets["password"], remarks=tuple(remarks))


def _split(rest: str) -> _Parts:
    """Take the URL apart, and refuse it where an unescaped character makes the parts ambiguous."""
    cut = re.search(r"[/?#]", rest)
    authority = rest[: cut.start()] if cut else rest
    tail = rest[cut.start() :] if cut else ""
    path, _, query = tail.partition("?")
    if authority.count("@") > 1 or "#" in tail or "@" in path or ("@" in query and _half_of_a_password(authority)):
        raise _unescaped()
    userinfo, at, hosts = authority.rpartition("@")
    user, _, password = userinfo.partition(":") if at else ("", "", "")
    parameters = list(_parameters(query))
    return _Parts(user=user, password=password, hosts=hosts, name=path.removeprefix("/"), parameters=parameters)


def _half_of_a_password(authority: str) -> bool:
    """Say whether what looks like host and port may be a user name and the beginning of a password."""
    _, colon, port = authority.rpartition(":")
    return "@" not in authority and bool(colon) and not port.isdigit() and not authority.startswith("[")


def _unescaped() -> ValidationFailed:
    return ValidationFailed(
        Text("The URL is ambiguous: its user name or password holds a character that has to be escaped."),
        Text(
            "In the user name and the password write {escapes}.", escapes="@ → %40, / → %2F, # → %23, ? → %3F, % → %25"
        ),
    )


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        yield _decoded(name), _decoded(value)


def _address(hosts: str) -> Iterator[tuple[str, Any]]:
    if "," in hosts:
        raise ValidationFailed(
            Text("The URL names several hosts."),
            Text("Name the one that is to be backed up; register others separately."),
        )
    if hosts.startswith("["):
        host, bracket, rest = hosts[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValidationFailed(
                Text("The IPv6 address of the URL is not closed."), Text("Write it as [::1] or [::1]:5432.")
            )
        port = rest[1:]
    else:
        host, _, port = hosts.partition(":")
    if host:
        yield "host", _decoded(host)
    if port:
        yield "port", _port(port)


def _port(text: str) -> int:
    # What stands here may be a piece of a password, so it is not shown.
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise ValidationFailed(
            Text("The port of the URL is not a number from 1 to 65535."),
            Text("Check what stands between the host and the database; a password has to be followed by @host."),
        )
    return int(text)


def _decoded(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        decoded = "\0"
    if _LONE_PERCENT.search(text) or "\0" in decoded:
        raise ValidationFailed(
            Text("The URL has a percent sign that begins no escape."), Text("Write {escape} for it.", escape="%25")
        )
    return decoded


def _sqlite(kind: str, rest: str) -> Chosen:
    path, _, query = rest.partition("?")
    if path.startswith("//"):  # sqlite:////absolute, sqlite:///relative, file:///absolute
        host, _, path = path[2:].partition("/")
        if host:
            raise ValidationFailed(
                Text("A file URL cannot name another machine."), Text("Write {form}.", form="sqlite:////path/to/file")
            )
        path = "/" + path if kind == "file" else path
    name = _decoded(path)
    if name in ("", "/", ":memory:"):
        raise ValidationFailed(Text("The URL names no file."), Text("A database in memory cannot be backed up."))
    if not name.startswith("/"):
        raise ValidationFailed(
            Text("The path “{path}” of the URL is relative.", path=name),
            Text("dbadmin runs in another folder: write the whole path, {form}.", form="sqlite:////path/to/file"),
        )
    ignored = sorted({key for key, _value in _parameters(query)})
    remarks = [Text("The parameter “{name}” is not used.", name=key) for key in ignored]
    return Chosen(engine="sqlite", settings={"path": name}, remarks=tuple(remarks))

"""Reading .env files."""

from __future__ import annotations

import re

from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=[ \t]*(.*)", re.DOTALL)
_BARE_EXPORT = re.compile(r"\s*export\s+[A-Za-z_][A-Za-z0-9_]*\s*")
_REFERENCE = re.compile(r"(\\?)\$\{([A-Za-z_][A-Za-z0-9_.]*)(?::?-([^}]*))?\}")
_ESCAPE = re.compile(r"\\([nrt\"\\$])")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'")
_MARK = "\0"


def parse_env_file(content: str) -> dict[str, str]:
    """Return the variables of a .env file; a later line wins.

    Understands ``export``, both kinds of quotes (a quoted value may span lines), comments, ``${NAME}`` and
    ``${NAME:-default}`` of names set further up, Windows line ends and a byte order mark. ``$NAME`` without braces
    stays as it is, since passwords hold dollar signs. ``ValidationFailed`` names the line, never its content.
    """
    variables: dict[str, str] = {}
    lines = content.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    at = 0
    while at < len(lines):
        number, line = at + 1, lines[at]
        at += 1
        if not line.strip() or line.lstrip().startswith("#") or _BARE_EXPORT.fullmatch(line):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            raise _wrong(number, Text("it is not of the form NAME=value"))
        name, raw = match.groups()
        while raw[:1] in ("'", '"') and _closed(raw) is None and at < len(lines):
            raw += "\n" + lines[at]
            at += 1
        variables[name] = _value(raw, variables, number)
    return variables


def _closed(raw: str) -> re.Match[str] | None:
    return (_DOUBLE if raw.startswith('"') else _SINGLE).match(raw)


def _value(raw: str, variables: dict[str, str], number: int) -> str:
    if raw[:1] not in ("'", '"'):
        return _filled(re.split(r"(?:^|\s)#", raw, maxsplit=1)[0].strip(), variables, number)
    match = _closed(raw)
    if match is None:
        raise _wrong(number, Text("a quote is not closed"))
    rest = raw[match.end() :].strip()
    if rest and not rest.startswith("#"):
        raise _wrong(number, Text("something follows the closing quote"))
    if raw.startswith("'"):
        return match[1]
    # An escaped dollar sign begins no reference; it is put back after the references are filled.
    protected = _ESCAPE.sub(lambda m: _MARK if m[1] == "$" else _ESCAPES.get(m[1], m[1]), match[1])
    return _filled(protected, variables, number).replace(_MARK, "$")


def _filled(text: str, variables: dict[str, str], number: int) -> str:
    def replacement(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        value = variables.get(match[2]) or match[3]
        if value is None and match[2] not in variables:
            raise _wrong(number, Text("it refers to {name}, which no earlier line sets", name=match[2]))
        return value or ""

    return _REFERENCE.sub(replacement, text)


def _wrong(number: int, reason: Text) -> ValidationFailed:
    return ValidationFailed(
        Text("Line {number} of the .env file cannot be read: {reason}.", number=number, reason=reason),
        Text("Correct the line and try again; nothing was taken from the file."),
    )

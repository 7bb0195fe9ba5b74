"""One value that is equal for equal schemas, on every server version from 13 to 18 and after every restore.

Owners and grants are left out: a copy may be restored without them. So is what servers of different versions write
differently for the same thing: the names by which views qualify columns, NOT NULL as a constraint (18), types and
functions that come with a range (14). So is what a restore makes them write differently, see ``deparsed``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from dbadmin.engines.postgresql.deparsed import casts_inside
from dbadmin.engines.postgresql.sessions import Session

# These hold queries that the server writes out again, in ways that differ between versions.
DEPARSED = ("view", "rule", "policy")
_SQL_BODY = re.compile(r"^\s*(BEGIN ATOMIC|RETURN )", re.MULTILINE)
# A literal is kept; names before a dot go, but not the two rows of a rule or trigger; any space is one space.
_QUALIFIER = re.compile(r"""('(?:[^']|'')*')|(?:"(?:[^"]|"")+"|\b(?!(?:old|new)\.)[^\W\d]\w*)\.(?=["*\w])|(\s+)""")


def _read_queries() -> tuple[tuple[str, bytes], ...]:
    common, *blocks = Path(__file__).with_suffix(".sql").read_text().split("\n--; ")
    named = (block.partition("\n") for block in blocks)
    return tuple((kind, f"{common}\n{query}".encode()) for kind, _, query in named)


_QUERIES = _read_queries()


def schema_fingerprint(session: Session) -> str:
    """Return the SHA-256 of ``schema_lines``."""
    digest = hashlib.sha256()
    for line in schema_lines(session):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def schema_lines(session: Session) -> list[str]:
    """Return the schema as the session sees it, sorted. Needs an empty search_path, so that names are whole."""
    return sorted(_lines(session))


def _lines(session: Session) -> Iterator[str]:
    for kind, query in _QUERIES:
        for row in session.execute(query):
            line = casts_inside(" | ".join([kind, *("" if value is None else str(value) for value in row)]))
            deparsed = kind in DEPARSED or (kind == "function" and _SQL_BODY.search(line))
            yield _unqualified(line) if deparsed else line


def _unqualified(text: str) -> str:
    return _QUALIFIER.sub(lambda found: found.group(1) or (" " if found.group(2) else ""), text)

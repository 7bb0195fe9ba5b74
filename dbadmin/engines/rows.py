"""What the engines have in common that replace the rows of single tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dbadmin.exceptions import DatabaseError, Refused
from dbadmin.text import Text


@dataclass(frozen=True, kw_only=True)
class Dependants:
    """What replacing the rows of tables touches beside them, by name.

    foreign_keys: of other tables, which are checked. views show the new rows; ``stale`` ones keep the old ones until
    they are refreshed. triggers do not fire. schema_fingerprint: of the definitions as they are now.
    """

    foreign_keys: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    schema_fingerprint: str = ""


def require_same_columns(table: str, live: Mapping[str, str], held: Mapping[str, str]) -> None:
    """Raise ``Refused`` when a live table has not the columns, name -> definition, that the backup has."""
    if other := ", ".join(sorted(name for name in live.keys() | held.keys() if live.get(name) != held.get(name))):
        raise Refused(
            Text("“{table}” has other columns now than in the backup: {columns}.", table=table, columns=other),
            Text("Nothing was changed. Bring the table beside the live one and copy what you need."),
        )


def require_same_rows(table: str, expected: int, found: int) -> None:
    """Raise ``DatabaseError`` when the rows that were read back are not those that were written."""
    if found != expected:
        raise DatabaseError(
            Text("The rows of “{table}” were not stored as the backup has them.", table=table),
            Text("Nothing was changed. Look for rules on the table, or bring it beside the live one."),
        )

"""What migration tools recorded in their own tables, read the same way from every SQL engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dbadmin.engines.base import HistoryRow, ToolHistory

Find = Callable[[str], Sequence[str]]
Fetch = Callable[[str], list[tuple[Any, ...]]]

_ABSENT = "dbadmin: there is no such column"
# Beyond this, a table of that name is not a migration tool's.
_MOST_ROWS = 20_000


def read_history(find: Find, fetch: Fetch) -> tuple[ToolHistory, ...]:
    """Read the tables of Alembic, Prisma and Django that are there; tools that left no table are left out.

    ``find(name)`` returns the quoted, qualified names of all tables of that name, ``fetch(sql)`` the rows of one
    SELECT. A table of the same name with other columns is not the tool's and is left out too. What the tool
    recorded in several schemas is put together. Errors are those of ``find`` and ``fetch``.
    """
    found = (_read(tool, find, fetch) for tool in _TOOLS)
    return tuple(history for history in found if history is not None)


@dataclass(frozen=True, kw_only=True)
class _Tool:
    name: str
    table: str
    columns: tuple[str, ...]
    optional: tuple[str, ...] = ()
    rows: Callable[[Iterable[Mapping[str, Any]]], list[HistoryRow]]
    heads: Callable[[Sequence[HistoryRow]], Iterable[str]]


def _read(tool: _Tool, find: Find, fetch: Fetch) -> ToolHistory | None:
    tables = [(table, columns) for table in find(tool.table) if (columns := _columns(tool, table, fetch))]
    if not tables:
        return None
    rows = tool.rows(record for table, columns in tables for record in _records(table, columns, fetch))
    unique = tuple(dict.fromkeys(rows))  # the same revision in the schema of every tenant
    return ToolHistory(tool=tool.name, rows=unique, heads=tuple(sorted(set(tool.heads(unique)))))


def _columns(tool: _Tool, table: str, fetch: Fetch) -> tuple[str, ...]:
    """Return those of the tool's columns that the table has, or none when it is not the tool's table.

    A column that the table lacks is found in the outer query instead, so that asking for it is never an error.
    The join matches no row: nothing is read, and an empty table answers too.
    """
    wanted = tool.columns + tool.optional
    asked = ", ".join(
        f"(SELECT {column} FROM (SELECT 1 AS one) AS anchor LEFT JOIN {table} ON 1 = 0)"  # noqa: S608
        for column in wanted
    )
    outer = ", ".join(f"'{_ABSENT}' AS {column}" for column in wanted)
    (answers,) = fetch(f"SELECT {asked} FROM (SELECT {outer}) AS absent")  # noqa: S608
    present = tuple(column for column, answer in zip(wanted, answers, strict=True) if answer != _ABSENT)
    return present if set(tool.columns) <= set(present) else ()


def _records(table: str, columns: Sequence[str], fetch: Fetch) -> Iterator[dict[str, Any]]:
    for row in fetch(f"SELECT {', '.join(columns)} FROM {table} LIMIT {_MOST_ROWS}"):  # noqa: S608
        yield dict(zip(columns, row, strict=True))


def _alembic_rows(records: Iterable[Mapping[str, Any]]) -> list[HistoryRow]:
    revisions = {str(record["version_num"]) for record in records if record["version_num"]}
    return [HistoryRow(revision=revision) for revision in sorted(revisions)]


def _alembic_heads(rows: Sequence[HistoryRow]) -> Iterable[str]:
    return (row.revision for row in rows)


def _prisma_rows(records: Iterable[Mapping[str, Any]]) -> list[HistoryRow]:
    in_order = sorted(records, key=lambda record: (iso_time(record["started_at"]), str(record["migration_name"])))
    return [
        HistoryRow(
            revision=str(record["migration_name"]),
            state=_prisma_state(record),
            applied_at=iso_time(record["finished_at"]) or iso_time(record["started_at"]),
            # Old versions left the leading zeros out.
            checksum=str(record["checksum"]).rjust(64, "0") if record["checksum"] else "",
        )
        for record in in_order
    ]


def _prisma_state(record: Mapping[str, Any]) -> str:
    if record["rolled_back_at"] is not None:
        return "rolled_back"
    if record["finished_at"] is not None:
        return "applied"
    # Prisma writes the log when a step fails; until then nothing tells a failure from work that goes on.
    return "failed" if record.get("logs") else "running"


def _prisma_heads(rows: Sequence[HistoryRow]) -> Iterable[str]:
    applied = [row.revision for row in rows if row.state == "applied"]
    return applied[-1:]


def _django_rows(records: Iterable[Mapping[str, Any]]) -> list[HistoryRow]:
    in_order = sorted(records, key=_number)
    return [
        HistoryRow(revision=f"{record['app']}.{record['name']}", applied_at=iso_time(record["applied"]))
        for record in in_order
    ]


def _number(record: Mapping[str, Any]) -> int:
    return record["id"] if isinstance(record["id"], int) else 0


def _django_heads(rows: Sequence[HistoryRow]) -> Iterable[str]:
    return {row.revision.partition(".")[0]: row.revision for row in rows}.values()


_TOOLS = (
    _Tool(name="alembic", table="alembic_version", columns=("version_num",), rows=_alembic_rows, heads=_alembic_heads),
    _Tool(
        name="prisma",
        table="_prisma_migrations",
        columns=("migration_name", "checksum", "started_at", "finished_at", "rolled_back_at"),
        optional=("logs",),
        rows=_prisma_rows,
        heads=_prisma_heads,
    ),
    _Tool(
        name="django",
        table="django_migrations",
        columns=("id", "app", "name", "applied"),
        rows=_django_rows,
        heads=_django_heads,
    ),
)


def iso_time(value: Any) -> str:
    """Return a tool's time as ISO 8601 in UTC, so that texts sort as times do; empty for what is no time.

    Takes datetimes, text, and milliseconds since 1970 (Prisma on SQLite). What has no zone is UTC.
    """
    try:
        moment = _moment(value)
        if moment is None:
            return ""
        return (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        return datetime.fromisoformat(value.strip().removesuffix(" UTC"))
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value / 1000, UTC)
    return value if isinstance(value, datetime) else None

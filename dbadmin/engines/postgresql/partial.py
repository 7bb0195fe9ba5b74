"""Part of a dump, for a drill: all definitions, but rows, indexes and keys of some tables only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from dbadmin.engines.base import ReportLine
from dbadmin.engines.postgresql.clients import parallel_jobs, restore_client
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.dump import DUMP_FOLDER
from dbadmin.engines.postgresql.inventory import qualified
from dbadmin.engines.postgresql.sessions import connect
from dbadmin.engines.postgresql.target import create_database
from dbadmin.engines.postgresql.toc import TABLE_DATA, Entry, read_toc
from dbadmin.exceptions import ValidationFailed
from dbadmin.progress import Progress
from dbadmin.text import Text

# Other keys lead to tables whose rows are not there, and what a partition's index is part of belongs to no rows.
AFTERWARDS = ("INDEX", "CONSTRAINT")
DATA_OR_AFTER = (
    *AFTERWARDS, TABLE_DATA, "FK CONSTRAINT", "TRIGGER", "RULE", "EVENT TRIGGER", "POLICY", "ROW SECURITY", "BLOBS",
    "BLOB", "BLOB METADATA", "BLOB COMMENTS", "MATERIALIZED VIEW DATA", "STATISTICS", "STATISTICS DATA",
    "SEQUENCE SET", "PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA", "SUBSCRIPTION",
    "SUBSCRIPTION TABLE", "INDEX ATTACH", "COMMENT", "ACL", "DEFAULT ACL", "SECURITY LABEL",
)  # fmt: skip


def restore_some(
    target: PostgreSQLConnection,
    *,
    spool: Path,
    tables: tuple[str, ...],
    origin: Mapping[str, Any],
    client_version: str,
    progress: Progress,
) -> tuple[ReportLine, ...]:
    """Create ``target`` with every definition and the rows of ``tables``; the first error ends it."""
    entries = read_toc(spool / DUMP_FOLDER)
    chosen = _chosen(entries, tables)
    lines = create_database(target, origin, keep_owners=True)
    with connect(target) as session:
        client = restore_client(session.info.server_version // 10000, client_version)
    listing = spool / ".partial"
    listing.write_text("".join(f"{entry.number};\n" for entry in chosen))
    argv = (
        client.program("pg_restore"),
        "--format=directory",
        f"--jobs={max(2, parallel_jobs())}",
        f"--use-list={listing}",
        f"--dbname={make_conninfo(dbname=target.dbname)}",
        "--no-password",
        "--exit-on-error",
        str(spool / DUMP_FOLDER),
    )
    progress.phase(Text("Restoring {count} tables", count=len(tables)))
    try:
        target.command(argv).run(progress=progress)
    finally:
        listing.unlink()
    return tuple(lines)


def _chosen(entries: tuple[Entry, ...], tables: tuple[str, ...]) -> list[Entry]:
    wanted = set(tables)
    numbers = {each.number for each in entries if each.kind == "TABLE" and qualified(each.schema, each.name) in wanted}
    known = {qualified(entry.schema, entry.name) for entry in entries if entry.kind == TABLE_DATA}
    if missing := sorted(wanted - known):
        raise ValidationFailed(
            Text("The dump has no rows of {tables}.", tables=", ".join(missing)),
            Text("Name tables as the backup's page lists them."),
        )
    return [entry for entry in entries if _is_wanted(entry, wanted, numbers)]


def _is_wanted(entry: Entry, wanted: set[str], numbers: set[int]) -> bool:
    if entry.kind == TABLE_DATA:
        return qualified(entry.schema, entry.name) in wanted
    if entry.kind in AFTERWARDS:
        return bool(numbers & set(entry.needs))
    return entry.kind not in DATA_OR_AFTER

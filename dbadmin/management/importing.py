"""``restore run --file``: bring a file back that dbadmin did not make."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from dbadmin import audit
from dbadmin.backups.imports import new_target, receive
from dbadmin.choices import JobKind, JobState
from dbadmin.engines.base import in_words
from dbadmin.exceptions import DbadminError, UsageError
from dbadmin.jobs.foreground import work_on
from dbadmin.management.command import CRITICAL, DONE, Outcome, find_database
from dbadmin.management.progress import for_stream
from dbadmin.management.rows import job_row
from dbadmin.models import Import
from dbadmin.text import Text


def import_file(options: dict[str, Any]) -> Outcome:
    """Import here; exit code 2 when it failed, and then nothing is left."""
    if options["backup"] is not None or not options["to_new"] or not options["server"]:
        raise UsageError(Text("With --file name the server (--server) and the new database (--to-new), and no backup."))
    path = Path(options["file"]).absolute()
    return bring_in(receive(path, file_name=path.name, uploaded=False), options)


def bring_in(row: Import, options: dict[str, Any]) -> Outcome:
    """Import what was received, named by ``--server`` and ``--to-new``."""
    if not options["to_new"] or not options["server"]:
        raise UsageError(Text("For a dump name the server (--server) and the new database (--to-new)."))
    server = find_database(options["server"])
    try:
        new_target(row, server, options["to_new"], anywhere=True)  # refuse before there is a job
    except DbadminError:
        row.delete()
        raise
    params = {"import": row.pk, "target_name": options["to_new"], "keep_owners": options["with_owners"]}
    echo = for_stream(sys.stderr)
    job = work_on(JobKind.IMPORT, server, actor=audit.from_shell(), params=params, echo=echo)
    row.refresh_from_db()
    told = " ".join(str(part) for part in (row.description, job.message, job.hint) if part)
    return Outcome(
        results=[job_row(job) | {"import": import_row(row)}],
        lines=[
            told,
            *(f"  {line['level']}: {line['message']}" for line in in_words(row.lines) if line["level"] != "error"),
        ],
        exit_code=DONE if job.state == JobState.SUCCEEDED else CRITICAL,
    )


def import_row(row: Import) -> dict[str, Any]:
    """Return an import with what was counted and said. Sizes in bytes."""
    return {
        "id": row.pk,
        "file": row.path,
        "form": row.form,
        "description": row.description,
        "size": row.size,
        "server": row.server.slug if row.server else None,
        "target": row.target,
        "state": row.state,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "tables": row.measured().tables,
        "row_count": row.measured().rows,
        "lines": in_words(row.lines),
        "job": row.job_id,
    }

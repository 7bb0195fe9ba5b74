"""Private keys that somebody offers on a page, for one job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from dbadmin.archives.age import KEY_FILE_BYTES, read_key_file
from dbadmin.backups.keys import require_key
from dbadmin.choices import JobKind
from dbadmin.models import Backup

READING = (JobKind.RESTORE, JobKind.DRILL, JobKind.COMPARE)
FIELD = "key_file"


def offered_identities(request: HttpRequest, kind: JobKind, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the private keys of the key file that came with the form; nothing of it is kept.

    ``ValidationFailed`` for a file that is none, ``KeyMissing`` when a job of this kind could not read its backups.
    """
    sent = request.FILES.get(FIELD)
    identities = read_key_file(sent.read(KEY_FILE_BYTES + 1)) if sent is not None else ()
    if kind in READING:
        wanted = [pk for pk in (params.get("backup"), params.get("with")) if pk]
        for backup in Backup.objects.filter(pk__in=wanted):
            require_key(backup, offered=identities)
    return identities

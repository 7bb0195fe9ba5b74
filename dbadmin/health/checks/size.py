"""How large the database is."""

from __future__ import annotations

from dbadmin.choices import Verdict
from dbadmin.health.registry import ALL, Observation, Result, check
from dbadmin.text import Text

MEGABYTE = 1024 * 1024


@check("size", Text("Size"), engines=ALL, needs=("size_bytes",))
def size(seen: Observation) -> Result:
    """A large database is worth knowing and never an emergency, so this is a warning at most."""
    megabytes = seen["size_bytes"] / MEGABYTE
    limit = seen.thresholds.size_megabytes
    if megabytes <= limit:
        return Result(verdict=Verdict.OK, message=_sentence(megabytes), value=megabytes)
    return Result(
        verdict=Verdict.WARNING,
        message=Text("{size} That is more than {limit} MB.", size=_sentence(megabytes), limit=round(limit)),
        hint=Text("See whether old rows can be archived, and whether backups and restores still fit their time."),
        value=megabytes,
    )


def _sentence(megabytes: float) -> Text:
    return Text("The database takes {megabytes} MB.", megabytes=round(megabytes, 2))

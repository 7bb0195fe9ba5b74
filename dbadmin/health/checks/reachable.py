"""Whether the database answers."""

from __future__ import annotations

from dbadmin.choices import Verdict
from dbadmin.exceptions import ConnectionFailed
from dbadmin.health.registry import ALL, Observation, Result, check, graded
from dbadmin.text import Text


@check("reachable", Text("Reachable"), engines=ALL, live=False)
def reachable(seen: Observation) -> Result:
    """One failure may be a restart: a warning. The third in a row is critical.

    What time does not mend (a password that cannot be decrypted, a file that is no database) is critical at once.
    """
    if seen.failure is None:
        return Result(verdict=Verdict.OK, message=Text("The database answers."), value=0)
    passing = isinstance(seen.failure, ConnectionFailed)
    return Result(
        verdict=graded(seen.failed_probes, seen.thresholds.failed_probes) if passing else Verdict.CRITICAL,
        message=Text("{failure} ({times} failures in a row)", failure=seen.failure.message, times=seen.failed_probes)
        if seen.failed_probes > 1
        else seen.failure.message,
        hint=seen.failure.hint,
        value=seen.failed_probes,
    )

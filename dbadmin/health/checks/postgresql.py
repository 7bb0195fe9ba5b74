"""What only a PostgreSQL server has."""

from __future__ import annotations

from dbadmin.choices import EngineName, Verdict
from dbadmin.health.registry import Observation, Result, check, graded, unknown
from dbadmin.text import Text


@check(
    "connections",
    Text("Connections used"),
    engines={EngineName.POSTGRESQL},
    needs=("connections_used", "connections_max"),
)
def connections(seen: Observation) -> Result:
    """Share of the connections that ordinary roles may open."""
    used, most = seen["connections_used"], seen["connections_max"]
    if most <= 0:
        return unknown(Text("The server allows no connections to ordinary roles."))
    percent = 100 * used / most
    verdict = graded(percent, seen.thresholds.connections_percent)
    return Result(
        verdict=verdict,
        message=Text(
            "{used} of {most} connections are in use ({percent} %).", used=used, most=most, percent=round(percent)
        ),
        hint=Text(
            "Find what holds the connections before raising max_connections: a pool without a ceiling, or "
            "sessions left idle in a transaction."
        )
        if verdict != Verdict.OK
        else Text(""),
        value=percent,
    )

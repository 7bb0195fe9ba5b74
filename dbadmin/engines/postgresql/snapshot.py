"""What health checks look at."""

from __future__ import annotations

from typing import Any

from dbadmin.engines.base import Snapshot
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.sessions import session
from dbadmin.text import Text

_BASICS = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(),
  pg_postmaster_start_time(), pg_database_size(current_database()),
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true), '0')::int,
  pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
"""
# Without pg_read_all_stats the kind of other users' sessions is hidden.
_USED = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


def take_snapshot(connection: PostgreSQLConnection) -> Snapshot:
    """Gather values; what the role may not see is in ``unavailable`` with the reason."""
    unavailable: dict[str, Text] = {}
    with session(connection) as lent:
        row = lent.execute(_BASICS).fetchone()
        assert row is not None
        number, version, in_recovery, started, size, most, sees_all = row
        values: dict[str, Any] = {
            "server_version_num": number,
            "version": version.split()[0],
            "in_recovery": in_recovery,
            "started_at": started.isoformat(),
            "size_bytes": size,
            "connections_max": most,
        }
        if sees_all:
            used = lent.execute(_USED).fetchone()
            assert used is not None
            values["connections_used"] = int(used[0])
        else:
            unavailable["connections_used"] = Text(
                "{user} does not see the sessions of others; as a superuser: GRANT pg_monitor TO {user};",
                user=connection.user or str(lent.info.user),
            )
    return Snapshot(values=values, unavailable=unavailable)

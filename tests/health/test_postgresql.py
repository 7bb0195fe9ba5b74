"""Health of a real server: what a role may not see is unknown, not zero."""

from __future__ import annotations

import pytest
from django.utils import timezone

from dbadmin.choices import Verdict
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.health.run import run_checks
from dbadmin.models import CheckResult, Database
from tests.factories import make_backup, make_schedule
from tests.postgresql_database import execute, postgresql

__all__ = ["postgresql"]
pytestmark = pytest.mark.postgresql


def run(database: Database) -> dict[str, CheckResult]:
    return {result.check_id: result for result in run_checks(database, now=timezone.now())}


def test_an_ordinary_database_is_well(postgresql: Database) -> None:
    make_backup(database=postgresql)
    make_schedule()
    results = run(postgresql)
    assert {result.verdict for result in results.values()} == {Verdict.OK, Verdict.SKIPPED}
    known = {"reachable", "connections", "size", "backup_freshness", "drill", "archives", "copies", "orphans"}
    assert known | {"migrations", "schedule", "schedule_runs", "released", "drill_key"} == set(results)


def test_a_plain_role_does_not_know_the_connections(postgresql: Database) -> None:
    execute(postgresql, "CREATE ROLE sees_little LOGIN PASSWORD 'x'")
    superuser = Database.objects.get(pk=postgresql.pk)
    postgresql.settings["user"], postgresql.password = "sees_little", "x"
    result = run(postgresql)["connections"]
    execute(superuser, "DROP ROLE sees_little")
    assert result.verdict == Verdict.UNKNOWN
    assert "pg_monitor" in str(result.message)


def test_a_server_that_is_stopped_is_unreachable(postgresql: Database, server: Cluster) -> None:
    server.stop()
    try:
        results = run(postgresql)
    finally:
        server.start()
    assert results["reachable"].verdict == Verdict.WARNING
    assert results["connections"].verdict == Verdict.UNKNOWN
    assert run(postgresql)["reachable"].verdict == Verdict.OK


def test_a_database_that_does_not_exist_is_unreachable(postgresql: Database) -> None:
    postgresql.settings["name"] = "nobody_made_this"
    assert run(postgresql)["reachable"].verdict != Verdict.OK

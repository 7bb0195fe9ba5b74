"""Drills in a throw-away database of a chosen server: proven there, refused before anything is made, nothing left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from dbadmin.backups.drill import drill_backup
from dbadmin.backups.take import take_backup
from dbadmin.choices import AssertionKind, DrillKind, DrillState
from dbadmin.engines.postgresql import PostgreSQLEngine, guest
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.exceptions import Cancelled, DbadminError, Refused
from dbadmin.models import Assertion, Backup, Database, Drill, Storage
from dbadmin.progress import Silent
from dbadmin.text import Text
from tests.backups.files import spools
from tests.backups.test_drill_content import ODD, Impatient
from tests.backups.test_drill_postgresql import SHOP, take, verdicts
from tests.factories import make_database
from tests.postgresql_database import execute, postgresql
from tests.servers import Servers

__all__ = ["postgresql"]
pytestmark = pytest.mark.postgresql
MAKER, OWNER, PASSWORD = "drill_maker", "shop_owner", "secret"


def registered(cluster: Cluster, **settings: object) -> Database:
    """A database that is there on every server, registered."""
    place = cluster.connection("postgres")
    password = str(settings.pop("password", place.password))
    known = {"host": place.host, "port": place.port, "user": place.user, "name": "postgres"} | settings
    database = make_database(engine="postgresql", settings=known)
    database.password = password
    database.save()
    return database


def asked(cluster: Cluster, query: str) -> list[tuple]:
    with psycopg.connect(**cluster.connection("postgres").parameters(), autocommit=True) as session:
        cursor = session.execute(query)
        return cursor.fetchall() if cursor.description else []


def databases(cluster: Cluster) -> set[str]:
    return {name for (name,) in asked(cluster, "SELECT datname FROM pg_database")}


@pytest.fixture
def elsewhere(servers: Servers) -> Iterator[Cluster]:
    """Another server; whatever a test does, its databases and roles are afterwards what they were."""
    cluster, all_of_it = (
        servers[18],
        "SELECT rolname FROM pg_roles UNION ALL SELECT datname FROM pg_database ORDER BY 1",
    )
    before = asked(cluster, all_of_it)
    yield cluster
    asked(cluster, f"DROP ROLE IF EXISTS {MAKER}, {OWNER}")
    assert asked(cluster, all_of_it) == before


@pytest.fixture
def shop(postgresql: Database) -> Database:
    execute(postgresql, SHOP)
    return postgresql


@pytest.fixture
def owned(postgresql: Database, server: Cluster) -> Iterator[Database]:
    """A database of an application that is nobody special."""
    asked(server, f"CREATE ROLE {OWNER}")
    execute(postgresql, f"ALTER DATABASE {postgresql.settings['name']} OWNER TO {OWNER}; SET ROLE {OWNER};" + SHOP)
    yield postgresql
    execute(postgresql, f"REASSIGN OWNED BY {OWNER} TO postgres; DROP OWNED BY {OWNER}; DROP ROLE {OWNER}")


def drill(backup: Backup, server: Database, **options: object) -> Drill:
    return drill_backup(backup=backup, server=server, **{"progress": Silent()} | options)


def said(row: Drill) -> str:
    return " ".join(str(Text.from_json(check["message"])) for check in row.checks)


def test_it_is_proven_there_and_nothing_is_left(shop: Database, storage: Storage, elsewhere: Cluster) -> None:
    execute(shop, ODD)
    Assertion.objects.create(
        database=shop, name="prices", kind=AssertionKind.COUNT, sql="SELECT count(*) FROM prices", minimum=100
    )
    backup, before = take(shop, storage), databases(elsewhere)
    row = drill(backup, registered(elsewhere))
    assert (row.state, row.differences) == (DrillState.PROVEN, []), said(row)
    assert f"/dbadmin_drill_{row.pk}_" in row.place
    assert "cannot be seen from here" in said(row)
    skipped = {name for name, verdict in verdicts(row).items() if verdict != "ok"}
    assert skipped == {"Space at the chosen server"}
    backup.refresh_from_db()
    assert backup.proven_at == row.finished_at
    assert (databases(elsewhere), spools()) == (before, [])


def test_a_row_that_came_back_otherwise_is_found_there(
    shop: Database, storage: Storage, elsewhere: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    content_of_copy = PostgreSQLEngine.content_of_copy

    def altered(self: PostgreSQLEngine, target: object, **options: object) -> object:
        with psycopg.connect(**target.parameters(), autocommit=True) as session:  # type: ignore[attr-defined]
            session.execute("UPDATE prices SET price = 8 WHERE id = 7")
        return content_of_copy(self, target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgreSQLEngine, "content_of_copy", altered)
    row = drill(take(shop, storage), registered(elsewhere))
    assert [difference["subject"] for difference in row.differences] == ["public.prices"]


def test_nobody_else_gets_into_it(
    shop: Database, storage: Storage, elsewhere: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(elsewhere, f"CREATE ROLE {MAKER} LOGIN PASSWORD '{PASSWORD}'")
    execute(shop, f"GRANT CONNECT ON DATABASE {shop.settings['name']} TO PUBLIC")
    stranger, examine, refused = registered(elsewhere, user=MAKER, password=PASSWORD), PostgreSQLEngine.examine, []

    def intruded(self: PostgreSQLEngine, target: object, **options: object) -> object:
        beside = PostgreSQLEngine().new_target(stranger.connection(), target.dbname)  # type: ignore[attr-defined]
        with pytest.raises(psycopg.OperationalError, match="permission denied") as error:
            psycopg.connect(**beside.parameters())
        refused.append(error)
        return examine(self, target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgreSQLEngine, "examine", intruded)
    assert drill(take(shop, storage), registered(elsewhere)).state == DrillState.PROVEN
    assert refused


def test_a_role_that_is_no_superuser_does_all_but_what_it_may_not(
    owned: Database, storage: Storage, elsewhere: Cluster
) -> None:
    asked(elsewhere, f"CREATE ROLE {OWNER}; CREATE ROLE {MAKER} LOGIN CREATEDB PASSWORD '{PASSWORD}' IN ROLE {OWNER}")
    row = drill(take(owned, storage), registered(elsewhere, user=MAKER, password=PASSWORD))
    assert (row.state, row.differences) == (DrillState.PROVEN, []), said(row)
    assert f"{MAKER} may not add the extension amcheck" in said(row)


def refused(backup: Backup, server: Database, cluster: Cluster) -> str:
    before = databases(cluster)
    with pytest.raises(Refused) as error:
        drill(backup, server)
    assert (databases(cluster), spools()) == (before, [])
    assert Drill.objects.get().state == DrillState.FAILED
    return str(error.value)


def test_a_role_that_may_not_create_databases_is_refused(shop: Database, storage: Storage, elsewhere: Cluster) -> None:
    asked(elsewhere, f"CREATE ROLE {MAKER} LOGIN PASSWORD '{PASSWORD}'")
    told = refused(take(shop, storage), registered(elsewhere, user=MAKER, password=PASSWORD), elsewhere)
    assert f"{MAKER} may not create databases" in told
    assert "CREATEDB" in told


def test_roles_that_are_not_there_are_named(owned: Database, storage: Storage, elsewhere: Cluster) -> None:
    told = refused(take(owned, storage), registered(elsewhere), elsewhere)
    assert f"lacks roles that the backup names: {OWNER}." in told
    assert "globals.sql" in told


def test_roles_that_it_cannot_act_for_are_named(owned: Database, storage: Storage, elsewhere: Cluster) -> None:
    asked(elsewhere, f"CREATE ROLE {OWNER}; CREATE ROLE {MAKER} LOGIN CREATEDB PASSWORD '{PASSWORD}'")
    told = refused(take(owned, storage), registered(elsewhere, user=MAKER, password=PASSWORD), elsewhere)
    assert f"{MAKER} may not make objects of {OWNER}" in told


def test_an_older_server_is_refused(servers: Servers, storage: Storage) -> None:
    backup = take(registered(servers[18]), storage)
    told = refused(backup, registered(servers[15]), servers[15])
    assert "a server of version 15" in told
    assert "18 or newer" in told


@pytest.mark.parametrize(("lacking", "words"), [("extensions", "extensions that the backup needs: of_our_own."),
                                                ("tablespaces", "tablespaces that the backup names")])  # fmt: skip
def test_what_the_server_lacks_is_named(
    lacking: str, words: str, shop: Database, storage: Storage, elsewhere: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = PostgreSQLEngine.dump

    def needing(self: PostgreSQLEngine, connection: object, **options: object) -> object:
        made = read(self, connection, **options)  # type: ignore[arg-type]
        return replace(made, origin={**made.origin, lacking: {"of_our_own": "1"} if lacking == "extensions" else ["x"]})

    monkeypatch.setattr(PostgreSQLEngine, "dump", needing)
    assert words in refused(take(shop, storage), registered(elsewhere), elsewhere)


def test_the_databases_own_server_is_taken_by_its_own_name_only(
    shop: Database, storage: Storage, server: Cluster
) -> None:
    backup, before = take(shop, storage), databases(server)
    told = refused(backup, registered(server), server)
    assert "costs it load and disk" in told
    assert f"choose “{shop.slug}” itself" in told
    row = drill(backup, shop)
    assert (row.state, verdicts(row)["Chosen server"]) == (DrillState.PROVEN, "warning")
    assert databases(server) == before


def test_a_server_is_known_under_another_name_too(servers: Servers, server: Cluster) -> None:
    known = server.connection("postgres")
    assert guest.is_same_server(known, replace(known, host=f"{known.host}/."))
    assert not guest.is_same_server(known, servers[18].connection("postgres"))
    assert not guest.is_same_server(replace(known, port=1), known)


def test_cancelling_while_rows_are_read_leaves_nothing(shop: Database, storage: Storage, elsewhere: Cluster) -> None:
    backup, server = take(shop, storage), registered(elsewhere)
    for patience in (0, 1, 3):
        with pytest.raises(Cancelled):
            drill(backup, server, progress=Impatient(patience))
        assert not {name for name in databases(elsewhere) if name.startswith("dbadmin_drill_")}


def test_a_restore_that_fails_leaves_nothing(shop: Database, storage: Storage, elsewhere: Cluster) -> None:
    function = "CREATE OR REPLACE FUNCTION fine(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN {}; END';"
    execute(shop, function.format("true") + "ALTER TABLE prices ADD CHECK (fine(id));" + function.format("1 / 0"))
    for options in ({}, {"kind": DrillKind.PARTIAL, "tables": ("public.prices",)}):
        with pytest.raises(DbadminError):
            drill(take(shop, storage), registered(elsewhere), **options)
        assert not {name for name in databases(elsewhere) if name.startswith("dbadmin_drill_")}


def test_a_partial_drill_takes_place_there_too(shop: Database, storage: Storage, elsewhere: Cluster) -> None:
    row = drill(take(shop, storage), registered(elsewhere), kind=DrillKind.PARTIAL, tables=("public.prices",))
    assert (row.state, row.differences) == (DrillState.PROVEN, [])


def test_other_engines_have_no_servers(database: Database, storage: Storage, elsewhere: Cluster) -> None:
    backup = take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    with pytest.raises(Refused, match="Only a backup of PostgreSQL"):
        drill(backup, registered(elsewhere))

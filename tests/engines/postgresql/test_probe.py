from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from dbadmin.engines.postgresql import PostgreSQLConnection, PostgreSQLEngine
from dbadmin.engines.postgresql.cluster import Cluster, free_port
from dbadmin.exceptions import ConnectionFailed, ValidationFailed
from tests.engines.postgresql.conftest import MakeDatabase, dump, execute
from tests.servers import Servers

pytestmark = pytest.mark.postgresql


@pytest.fixture(scope="module")
def by_tcp(servers: Servers) -> PostgreSQLConnection:
    """A server that listens on loopback too."""
    cluster = servers.make(16, "tcp", port=free_port())
    cluster.start()
    yield replace(cluster.connection(), host="127.0.0.1")
    cluster.stop()


def failed(connection: PostgreSQLConnection) -> tuple[str, str]:
    """Return the stage that failed, and its sentence."""
    stage = PostgreSQLEngine().probe(connection).failed
    assert stage is not None
    assert stage.hint
    return stage.name.msgid, str(stage.message)


def test_a_database_that_works_has_all_stages(engine: PostgreSQLEngine, by_tcp: PostgreSQLConnection) -> None:
    info = engine.probe(by_tcp)
    assert info.failed is None
    assert [stage.name.msgid for stage in info.stages] == ["name", "TCP", "TLS", "login", "database", "privileges"]
    assert str(info.stages[2].message) == "The session is not encrypted (sslmode prefer)."
    assert info.version.startswith("16.")
    assert info.details["encoding"] == "UTF8"


def test_an_unknown_host_fails_at_the_name(by_tcp: PostgreSQLConnection) -> None:
    assert failed(replace(by_tcp, host="nowhere.invalid"))[0] == "name"


def test_a_stopped_server_fails_at_tcp_and_at_the_socket(by_tcp: PostgreSQLConnection, tmp_path: Path) -> None:
    assert failed(replace(by_tcp, port=free_port()))[0] == "TCP"
    assert failed(replace(by_tcp, host=str(tmp_path)))[0] == "socket"


def test_a_wrong_password_fails_at_the_login_and_is_not_tried_again(
    engine: PostgreSQLEngine, by_tcp: PostgreSQLConnection
) -> None:
    wrong = replace(by_tcp, password="wrong")
    assert failed(wrong)[0] == "login"
    with pytest.raises(ConnectionFailed, match="refused the login") as caught:
        engine.rows(wrong, "SELECT 1")
    assert caught.value.stage == "login"


def test_a_missing_database_is_told_from_a_wrong_password(by_tcp: PostgreSQLConnection) -> None:
    assert failed(replace(by_tcp, dbname="none")) == ("database", "The server has no database none.")


def test_a_database_that_the_user_may_not_enter_fails_there(
    by_tcp: PostgreSQLConnection, engine: PostgreSQLEngine
) -> None:
    execute(by_tcp, "CREATE ROLE outsider LOGIN PASSWORD 'x'")
    execute(by_tcp, "CREATE DATABASE closed")
    execute(by_tcp, "REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
    stage, message = failed(replace(by_tcp, dbname="closed", user="outsider", password="x"))
    assert stage == "database"
    assert "cannot be used" in message


def test_tls_demanded_but_not_offered_fails_at_tls(by_tcp: PostgreSQLConnection) -> None:
    assert failed(replace(by_tcp, sslmode="require"))[0] == "TLS"


def test_certificates_are_checked_as_the_sslmode_demands(
    servers: Servers, tls_files: tuple[Path, Path], engine: PostgreSQLEngine
) -> None:
    certificate, key = tls_files
    cluster = servers.make(
        16,
        "tls",
        port=free_port(),
        settings=(("ssl", "on"), ("ssl_cert_file", str(certificate)), ("ssl_key_file", str(key))),
    )
    cluster.start()
    try:
        plain = replace(cluster.connection(), host="localhost", sslmode="require")
        trusting = replace(plain, sslmode="verify-full", libpq={"sslrootcert": str(certificate)})
        assert engine.probe(plain).details["tls"] == "true"
        assert engine.probe(trusting).failed is None
        assert failed(replace(trusting, host="127.0.0.1"))[0] == "TLS"
        assert failed(replace(plain, sslmode="verify-ca"))[0] == "TLS"
        by_psql = trusting.command((str(cluster.bin_folder / "psql"), "-AtXc", "SHOW ssl"))
        assert by_psql.read() == "on\n"
    finally:
        cluster.remove()


def test_a_server_with_no_free_connection_says_so(servers: Servers) -> None:
    cluster = servers.make(16, "small", settings=(("max_connections", "4"), ("superuser_reserved_connections", "1")))
    cluster.start()
    try:
        execute(cluster.connection(), "CREATE ROLE plain LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
        stage, message = failed(replace(cluster.connection(), user="plain", password="x"))
    finally:
        cluster.stop()
    assert stage == "login"
    assert "too many connections" in message


def test_tables_that_may_not_be_read_are_named(server: Cluster, make_database: MakeDatabase, tmp_path: Path) -> None:
    source = make_database(server, 'CREATE TABLE a (); CREATE TABLE "B" (id serial)')
    execute(source, "DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD 'x'; GRANT SELECT ON a TO reader")
    reader = replace(source, user="reader", password="x")
    stage, message = failed(reader)
    assert stage == "privileges"
    assert 'public."B", public."B_id_seq"' in message
    with pytest.raises(Exception, match="permission denied"):
        dump(reader, tmp_path)
    execute(source, "GRANT pg_read_all_data TO reader; ALTER TABLE a ENABLE ROW LEVEL SECURITY")
    assert "Row security hides rows" in failed(reader)[1]


def test_something_that_is_not_postgresql_fails_with_a_sentence(by_tcp: PostgreSQLConnection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        other = replace(by_tcp, port=listener.getsockname()[1], connect_timeout=1)
        assert failed(other)[0] == "TLS"


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({}, "name"),
        ({"name": "d", "port": "x"}, "port"),
        ({"name": "d", "sslmode": "maybe"}, "sslmode"),
        ({"name": "d", "connect_timeout": 0}, "connect_timeout"),
        ({"name": "d", "server_settings": {"a b": 1}}, "server_settings"),
    ],
)
def test_settings_that_are_wrong_name_their_field(engine: PostgreSQLEngine, settings: dict, field: str) -> None:
    with pytest.raises(ValidationFailed, match=f"field {field}\\b"):
        engine.connection(settings)


def test_server_settings_reach_sessions_and_client_programs(engine: PostgreSQLEngine, server: Cluster) -> None:
    target = replace(server.connection(), options={"application_name": "a b\\c", "work_mem": "7MB"})
    assert execute(target, "SHOW work_mem") == [("7MB",)]
    psql = target.command((str(server.bin_folder / "psql"), "-AtXc", "SHOW work_mem"))
    assert psql.read() == "7MB\n"


def test_repr_and_address_show_no_password(server: Cluster) -> None:
    connection = server.connection()
    assert connection.password not in repr(connection)
    assert connection.password not in repr(connection.command(("psql",)))
    assert connection.address.endswith("/postgres")

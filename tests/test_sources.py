"""Connections are read from URLs, .env files and variables, and nobody's password is shown."""

from __future__ import annotations

import contextlib
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbadmin.exceptions import ValidationFailed
from dbadmin.models.database import application_variables
from dbadmin.sources import Chosen, from_environment, parse_env_file, parse_url

CAMP = "postgresql+asyncpg://postgres:postgres@localhost:5432/camp_backend_db"
GOAL = (
    "postgresql://user:password@host:5432/database"
    "?sslmode=require&connect_timeout=10&statement_timeout=30000&connection_limit=10&pool_timeout=10"
)
GOAL_DEVELOPMENT = (
    "postgresql://user:password@localhost:5432/database"
    "?connect_timeout=10&statement_timeout=30000&connection_limit=5&pool_timeout=10"
)
KNOWLEDGE = "postgresql://postgres:password@localhost:5432/mirai_knowledge_db"
SERVER = {"statement_timeout": "30000"}


def pg(host: str = "h", port: int = 5432, name: str = "d", **more: Any) -> dict[str, Any]:
    return {"host": host, "port": port, "name": name} | more


@pytest.mark.parametrize(
    ("url", "settings", "password"),
    [
        (CAMP, pg("localhost", name="camp_backend_db", user="postgres"), "postgres"),
        (
            GOAL,
            pg(
                "host",
                name="database",
                user="user",
                sslmode="require",
                connect_timeout=10,
                pool_size=10,
                server_settings=SERVER,
            ),
            "password",
        ),
        (
            GOAL_DEVELOPMENT,
            pg("localhost", name="database", user="user", connect_timeout=10, pool_size=5, server_settings=SERVER),
            "password",
        ),
        (KNOWLEDGE, pg("localhost", name="mirai_knowledge_db", user="postgres"), "password"),
        ("postgres://h/d", pg(), ""),
        ("postgresql+psycopg://h/d", pg(), ""),
        ("postgresql+psycopg2://h/d", pg(), ""),
        ("jdbc:postgresql://h:1/d?user=u&password=p", pg(port=1, user="u"), "p"),
        ("POSTGRESQL://h/d", pg(), ""),
        ("  postgresql://h/d\n", pg(), ""),
        ('"postgresql://h/d"', pg(), ""),
        ("postgresql:///d", pg("localhost"), ""),
        ("postgresql://u@/d", pg("localhost", user="u"), ""),
        ("postgresql://:6/d", pg("localhost", 6), ""),
        ("postgresql://[::1]/d", pg("::1"), ""),
        ("postgresql://u:p@[2001:db8::1]:6543/d", pg("2001:db8::1", 6543, user="u"), "p"),
        ("postgresql://u:p%40s%2Fs%23%3F%25%3A@h/d", pg(user="u"), "p@s/s#?%:"),
        ("postgresql://u:a:b@h/d", pg(user="u"), "a:b"),
        ("postgresql://u:a+b@h/d", pg(user="u"), "a+b"),
        ("postgresql://u%40tenant:p@h/d", pg(user="u@tenant"), "p"),
        ("postgresql://u:%E7%A7%98@h/%E5%BA%AB", pg(name="庫", user="u"), "秘"),
        ("postgresql:///d?host=/var/run/postgresql", pg("/var/run/postgresql"), ""),
        ("postgresql://%2Fvar%2Frun/d", pg("/var/run"), ""),
        ("postgresql:///d?host=/tmp/x&port=5499&user=u", pg("/tmp/x", 5499, user="u"), ""),
        ("postgresql://h?dbname=d", pg(), ""),
        (
            "postgresql://h/d?sslrootcert=/ca.pem&sslmode=verify-full",
            pg(sslrootcert="/ca.pem", sslmode="verify-full"),
            "",
        ),
        ("postgresql://h/d?options=-c%20statement_timeout%3D5s", pg(server_settings={"statement_timeout": "5s"}), ""),
        (
            "postgresql://h/d?options=-csearch_path%3Da%20--work-mem%3D1MB",
            pg(server_settings={"search_path": "a", "work_mem": "1MB"}),
            "",
        ),
        ("postgresql://h/d?application_name=a@b", pg(), ""),
        ("postgresql://u:p@h/d?application_name=a@b", pg(user="u"), "p"),
        ("sqlite:////srv/app/data.db", {"path": "/srv/app/data.db"}, ""),
        ("sqlite+aiosqlite:////srv/app/data.db", {"path": "/srv/app/data.db"}, ""),
        ("sqlite3:////srv/a%20b.db", {"path": "/srv/a b.db"}, ""),
        ("file:/srv/app/data.db", {"path": "/srv/app/data.db"}, ""),
        ("file:///srv/app/data.db?mode=ro", {"path": "/srv/app/data.db"}, ""),
    ],
)
def test_a_url_is_read(url: str, settings: dict[str, Any], password: str) -> None:
    chosen = parse_url(url)
    assert (chosen.settings, chosen.password) == (settings, password)
    assert chosen.engine == ("sqlite" if "path" in settings else "postgresql")
    assert "password=" not in repr(chosen)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://u:se@cret@h/d", "%40"),
        ("postgresql://u:se/cret@h/d", "%2F"),
        ("postgresql://u:se#cret@h/d", "%23"),
        ("postgresql://u:se?cret@h/d", "%3F"),
        ("postgresql://u:cret%zz@h/d", "%25"),
        ("postgresql://u:cret%@h/d", "%25"),
        ("postgresql://u:%FFcret@h/d", "%25"),
        ("postgresql://u:cret/d", "port"),
        ("postgresql://u:p@h:0/d", "port"),
        ("postgresql://u:p@h:99999/d", "port"),
        ("postgresql://[::1/d", "IPv6"),
        ("postgresql://a,b/d", "several hosts"),
        ("postgresql://h", "names no database"),
        ("postgresql://h/", "names no database"),
        ("postgresql://h/d?connect_timeout=cret", "connect_timeout"),
        ("mysql://u:cret@h/d", "postgresql://"),
        ("prisma+postgres://accelerate/?api_key=cret", "not supported"),
        ("mongodb+srv://u:cret@h/d", "not supported"),
        ("localhost:cret", "not supported"),
        ("host=h password=cret", "not a database URL"),
        ("", "not a database URL"),
        ("sqlite:///app.db", "relative"),
        ("file:./dev.db", "relative"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("file://server/x.db", "another machine"),
        ("postgresql://u:p@h/d\npostgresql://x", "not allowed"),
    ],
)
def test_a_url_that_is_wrong_is_explained_without_the_password(url: str, sentence: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        parse_url(url)
    assert sentence in str(caught.value)
    assert "cret" not in str(caught.value).replace("“cret”", "")


@pytest.mark.parametrize(
    ("parameter", "remark"),
    [
        ("schema=public", "Prisma"),
        ("pool_timeout=10", "Prisma"),
        ("pgbouncer=true", "Prisma"),
        ("connection_limit=5", "own pool"),
        ("connection_limit=50", "at most 10"),
        ("ssl=require", "sslmode=require"),
        ("colour=blue", "unknown"),
        ("connect_timeout=0", "for ever"),
        ("options=nonsense", "could not be read"),
    ],
)
def test_what_becomes_of_a_parameter_is_said(parameter: str, remark: str) -> None:
    (said,) = parse_url(f"postgresql://h/d?{parameter}").remarks
    assert remark in str(said)


text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(user=text, password=text, name=text)
def test_whatever_is_quoted_comes_back(user: str, password: str, name: str) -> None:
    parts = [quote(part, safe="") for part in (user, password, name)]
    chosen = parse_url("postgresql+asyncpg://{}:{}@db.example:6000/{}".format(*parts))
    assert chosen == Chosen(engine="postgresql", settings=pg("db.example", 6000, name, user=user), password=password)
    assert chosen.password == password


@given(st.text())
def test_no_text_makes_anything_but_a_sentence(url: str) -> None:
    for candidate in (url, f"postgresql://{url}", f"sqlite://{url}", f"postgresql://h/d?{url}"):
        with contextlib.suppress(ValidationFailed):
            parse_url(candidate)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("A=1\nB=2", {"A": "1", "B": "2"}),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("export A=1\nexport B\n  C = 3 ", {"A": "1", "C": "3"}),
        ("# c\n\nA=1 # c\nB=a#b", {"A": "1", "B": "a#b"}),
        ("A='x # y'\nB=\"x # y\" # c", {"A": "x # y", "B": "x # y"}),
        ("A='a\\n$B ${C}'", {"A": "a\\n$B ${C}"}),
        ('A="a\\n\\"b\\" \\${C}"', {"A": 'a\n"b" ${C}'}),
        ('A="line 1\nline 2"\nB=2', {"A": "line 1\nline 2", "B": "2"}),
        ("U=u\nP=p$w\nURL=postgresql://${U}:${P}@h/d", {"U": "u", "P": "p$w", "URL": "postgresql://u:p$w@h/d"}),
        ("A=${B:-x}\nC=${A}y", {"A": "x", "C": "xy"}),
        ("A=\nB=''", {"A": "", "B": ""}),
        ("A=1\nA=2", {"A": "2"}),
        ("", {}),
    ],
)
def test_an_env_file_is_read(content: str, expected: dict[str, str]) -> None:
    assert parse_env_file(content) == expected


@pytest.mark.parametrize(
    ("content", "line"),
    [("A=1\nsecret", 2), ("\n\nA='secret", 3), ("A=1\nB=${secret_x}", 2), ("A='b'secret", 1), ("1A=b", 1)],
)
def test_a_broken_line_is_named_and_not_shown(content: str, line: int) -> None:
    with pytest.raises(ValidationFailed, match=f"Line {line} of the .env file") as caught:
        parse_env_file(content)
    assert "secret" not in str(caught.value).replace("secret_x", "")


ALL = {
    "DATABASE_PUBLIC_URL": "postgresql://public/d",
    "DATABASE_URL": "postgresql://url/d",
    "PGHOST": "pg",
    "PGUSER": "u",
    "PGDATABASE": "d",
    "PGPASSWORD": "hidden",
    "DB_HOST": "db",
    "DB_USER": "u",
    "DB_NAME": "d",
    "DB_PASSWORD": "hidden",
}


@pytest.mark.parametrize(
    ("without", "host"),
    [
        ((), "public"),
        (("DATABASE_PUBLIC_URL",), "url"),
        (("DATABASE_PUBLIC_URL", "DATABASE_URL"), "pg"),
        (("DATABASE_PUBLIC_URL", "DATABASE_URL", "PGDATABASE"), "db"),
    ],
)
def test_the_first_complete_source_wins(without: tuple[str, ...], host: str) -> None:
    decision = from_environment({name: value for name, value in ALL.items() if name not in without})
    assert decision.require().settings["host"] == host
    assert [one.chosen for one in decision.candidates].count(True) == 1
    assert "hidden" not in repr(decision)


def test_two_sources_are_never_mixed() -> None:
    decision = from_environment({"PGHOST": "pg", "PGPASSWORD": "hidden", "DB_USER": "u", "DB_NAME": "d"})
    remarks = [str(one.remark) for one in decision.candidates]
    assert remarks == [
        "Not set.",
        "Not set.",
        "Incomplete: PGUSER, PGDATABASE is not set.",
        "Incomplete: DB_HOST is not set.",
    ]
    with pytest.raises(ValidationFailed, match="DATABASE_PUBLIC_URL, DATABASE_URL"):
        decision.require()


def test_a_source_that_cannot_be_read_is_not_passed_over() -> None:
    decision = from_environment(ALL | {"DATABASE_PUBLIC_URL": "postgresql://u:se@cret@h/d"})
    assert decision.chosen is None
    with pytest.raises(ValidationFailed, match="DATABASE_PUBLIC_URL cannot be used") as caught:
        decision.require()
    assert "cret" not in str(caught.value)


def test_empty_variables_are_not_set_and_parts_take_the_other_variables() -> None:
    variables = {
        "DATABASE_URL": " ",
        "PGHOST": "h",
        "PGUSER": "u",
        "PGDATABASE": "d",
        "PGPORT": "6",
        "PGSSLMODE": "require",
    }
    assert from_environment(variables).require().settings == pg(port=6, user="u", sslmode="require")


@pytest.mark.parametrize(("value", "said"), [("false", 1), ("0", 1), ("true", 0), ("", 0)])
def test_an_application_that_uses_its_file_store_is_pointed_out(value: str, said: int) -> None:
    chosen = from_environment({"DATABASE_URL": KNOWLEDGE, "MKS_USE_POSTGRESQL": value}).require()
    assert len(chosen.remarks) == said


def test_the_url_of_our_own_catalogue_is_nobodys_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.conf.settings.CATALOGUE_URL", "postgres://u@h/dbadmin", raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgres://u@h/dbadmin")
    assert "DATABASE_URL" not in application_variables()
    monkeypatch.setenv("DATABASE_URL", "postgres://u@h/camp")
    assert application_variables()["DATABASE_URL"] == "postgres://u@h/camp"

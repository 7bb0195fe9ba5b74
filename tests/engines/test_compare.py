"""Two dumps side by side, on real engines: equal is equal, and every difference is named."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from dbadmin.engines import comparing
from dbadmin.engines.base import FULL, SCHEMA
from dbadmin.engines.comparing import Changes, Compared, Layout, compare_rows
from dbadmin.engines.files import FilesEngine
from dbadmin.engines.files.compare import differences
from dbadmin.engines.postgresql import PostgreSQLConnection, PostgreSQLEngine
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.engines.sqlite import SQLiteEngine
from dbadmin.progress import Silent
from tests.engines.postgresql.conftest import NASTY, MakeDatabase, dump, execute
from tests.engines.postgresql.conftest import engine as engine
from tests.engines.postgresql.conftest import make_database as make_database
from tests.servers import Servers

Spools = Callable[[], Path]


@pytest.fixture
def spools(tmp_path: Path) -> Spools:
    def make() -> Path:
        folder = tmp_path / f"spool-{len(list(tmp_path.glob('spool-*')))}"
        folder.mkdir()
        return folder

    return make


def compare_postgresql(left: Path, right: Path, *, content: bool = True) -> Compared:
    return PostgreSQLEngine().compare(left=left, right=right, content=content, progress=Silent())


def states(found: Compared) -> dict[str, str]:
    return {f"{each.kind} {each.name}": each.state for each in found.objects}


def different(found: Compared) -> dict[str, Changes]:
    return {name: changes for name, changes in found.tables.items() if changes.total or changes.unknown}


def rows(*values: tuple[object, ...]) -> list[bytes]:
    return [b"\t".join(str(value).encode() for value in row) for row in values]


def matched(left: list[bytes], right: list[bytes], key: tuple[str, ...] = ("id",)) -> Changes:
    layout = Layout(columns=("id", "name"), split=lambda line: line.split(b"\t"))
    return compare_rows(left, right, layouts=(layout, layout), key=key, look=lambda: None)


def test_the_order_of_rows_is_no_difference() -> None:
    some = rows(*((n, f"n{n}") for n in range(1000)))
    assert matched(some, some[500:] + some[:500]) == Changes()
    assert matched(some, some[::-1], key=()) == Changes()


def test_rows_without_a_key_are_counted_with_their_copies_and_not_shown() -> None:
    found = matched(rows((1, "a"), (1, "a"), (2, "b")), rows((2, "b"), (1, "a"), (3, "secret")), key=())
    assert (found.added, found.removed, found.changed) == (1, 1, 0)
    assert "secret" not in str(found.to_json())


def test_too_many_rows_that_stand_elsewhere_are_unknown_and_never_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "WAITING_BYTES", 10_000)
    some = rows(*((n, f"n{n}") for n in range(1000)))
    assert matched(some, some[::-1]).unknown
    assert matched(some, some) == Changes()


def test_a_table_that_was_emptied_or_filled_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "WAITING_BYTES", 10_000)
    some = rows(*((n, f"n{n}") for n in range(5000)))
    emptied, filled = matched(some, []), matched(some[:10], some)
    assert (emptied.removed, emptied.added, len(emptied.samples)) == (5000, 0, 20)
    assert (filled.removed, filled.added, filled.unknown.msgid) == (0, 4990, "")


@pytest.mark.postgresql
@pytest.mark.parametrize("major", [15, 16])
def test_a_nasty_database_is_equal_to_itself_and_to_its_copy(
    servers: Servers, make_database: MakeDatabase, spools: Spools, major: int
) -> None:
    source = make_database(servers[major], NASTY)
    left, right = spools(), spools()
    dump(source, left)
    execute(source, "VACUUM FULL ANALYZE")
    dump(source, right)
    found = compare_postgresql(left, right)
    assert found.objects == ()
    assert different(found) == {}
    assert "public.big" in found.tables


@pytest.mark.postgresql
@pytest.mark.parametrize("major", [15, 16])
def test_the_camp_backend_is_equal_to_itself(
    servers: Servers, camp_backend: Callable[[Cluster], PostgreSQLConnection], spools: Spools, major: int
) -> None:
    left, right = spools(), spools()
    for spool in (left, right):
        dump(camp_backend(servers[major]), spool)
    found = compare_postgresql(left, right)
    assert (found.objects, different(found)) == ((), {})
    assert len(found.tables) > 3


@pytest.mark.postgresql
def test_every_difference_of_a_nasty_database_is_named(
    server: Cluster, make_database: MakeDatabase, spools: Spools
) -> None:
    source = make_database(server, NASTY)
    left, right = spools(), spools()
    dump(source, left)
    execute(
        source,
        """
        ALTER TABLE parent DROP COLUMN old_name CASCADE;
        DROP INDEX by_twice; CREATE INDEX by_twice ON hen (twice(id)) WHERE id > 1;
        DROP VIEW joined CASCADE;
        CREATE INDEX new_one ON hen (egg);
        COMMENT ON TABLE hen IS 'clucks';
        DELETE FROM "日本語"."会員" WHERE "番号" = 2;
        INSERT INTO "日本語"."会員" ("名前") VALUES ('佐藤');
        UPDATE "Mixed Case"."My Table" SET amount = 5, tags = '{}' WHERE "Id" = 7;
        UPDATE big SET filler = 'other' WHERE id = 3;
        SELECT lo_from_bytea(0, 'one more');
        """,
    )
    dump(source, right)
    found = compare_postgresql(left, right)
    assert states(found) == {
        "table public.parent": "changed",
        "index public.by_twice": "changed",
        "view public.joined": "removed",
        "view public.chained": "removed",
        "index public.new_one": "added",
        "comment public.TABLE hen": "added",
    }
    assert "-    old_name text" in next(each.diff for each in found.objects if each.name == "public.parent")
    tables = different(found)
    assert set(tables) == {"日本語.会員", '"Mixed Case"."My Table"', "public.big", "(large objects)"}
    assert [(each.state, each.key) for each in tables["日本語.会員"].samples] == [
        ("removed", "番号=2"),
        ("added", "番号=4"),
    ]
    (changed,) = tables['"Mixed Case"."My Table"'].samples
    assert (changed.state, changed.key, changed.columns) == ("changed", "Id=7", ("amount", "tags"))
    assert (tables["public.big"].added, tables["public.big"].removed) == (1, 1)
    assert tables["(large objects)"].added == 1


@pytest.mark.postgresql
def test_a_schema_is_compared_with_the_schema_of_a_whole_dump(
    server: Cluster, make_database: MakeDatabase, spools: Spools
) -> None:
    source = make_database(server, NASTY)
    left, right = spools(), spools()
    dump(source, left)
    dump(source, right, scope=SCHEMA)
    assert compare_postgresql(left, right, content=False).objects == ()


def sqlite_spool(path: Path, spool: Path, scope: str = FULL) -> Path:
    engine = SQLiteEngine()
    engine.dump(engine.connection({"path": str(path)}), scope=scope, spool=spool, progress=Silent())
    return spool


def test_sqlite_schema_rows_and_types(sample_sqlite: Path, spools: Spools) -> None:
    engine, left, right, again = SQLiteEngine(), spools(), spools(), spools()
    with sqlite3.connect(sample_sqlite) as db:
        db.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY, v, w TEXT); CREATE INDEX by_v ON t (v)")
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(1, 1, "a"), (2, "b\tc", "b"), (3, b"d", "c")])
    sqlite_spool(sample_sqlite, left)
    sqlite_spool(sample_sqlite, again, SCHEMA)
    with sqlite3.connect(sample_sqlite) as db:
        db.executescript("DROP INDEX by_v; CREATE INDEX by_v ON t (v DESC); ALTER TABLE t DROP COLUMN w")
        db.executescript("UPDATE t SET v = 1.0 WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (9, 0)")
    db.close()
    sqlite_spool(sample_sqlite, right)
    found = engine.compare(left=left, right=right, content=True, progress=Silent())
    assert states(found) == {"index by_v": "changed", "table t": "changed"}
    assert set(different(found)) == {"t"}
    assert [(each.state, each.key) for each in found.tables["t"].samples] == [
        ("removed", "id=2"),
        ("added", "id=9"),
        ("changed", "id=1"),
    ]


def test_sqlite_is_equal_to_itself_also_after_vacuum(sample_sqlite: Path, spools: Spools) -> None:
    engine, left, right, schema = SQLiteEngine(), spools(), spools(), spools()
    sqlite_spool(sample_sqlite, left)
    db = sqlite3.connect(sample_sqlite)
    db.execute("VACUUM")
    db.close()
    sqlite_spool(sample_sqlite, right)
    found = engine.compare(left=left, right=right, content=True, progress=Silent())
    assert (found.objects, different(found)) == ((), {})
    sqlite_spool(sample_sqlite, schema, SCHEMA)
    (right / "compare.sqlite3").unlink()
    assert engine.compare(left=right, right=schema, content=False, progress=Silent()).objects == ()


def test_json_is_compared_key_by_key_and_secrets_are_masked(tmp_path: Path) -> None:
    left, right = tmp_path / "left" / "files", tmp_path / "right" / "files"
    for folder in (left, right):
        folder.mkdir(parents=True)
    before = {"a": [1, {"b": 2}], "api_key": "s3cret-1", "gone": None, "one": 1}
    after = {"a": [1, {"b": 3}, "x"], "api_key": "s3cret-2", "new": {"password": "s3cret-3"}, "one": True}
    (left / "x.json").write_text(json.dumps(before))
    (right / "x.json").write_text(json.dumps(after))
    (left / "y.bin").write_bytes(b"1")
    (right / "y.bin").write_bytes(b"2")
    found = FilesEngine().compare(left=left.parent, right=right.parent, content=True, progress=Silent())
    shown = {each.key: (each.state, each.left, each.right) for each in found.tables["x.json"].samples}
    assert shown == {
        "a[1].b": ("changed", "2", "3"),
        "a[2]": ("added", "", '"x"'),
        "api_key": ("changed", "********", "********"),
        "gone": ("removed", "null", ""),
        "new": ("added", "", '{"password": "********"}'),
        "one": ("changed", "1", "true"),
    }
    assert found.tables["y.bin"].changed == 1
    assert "s3cret" not in str(found)
    assert list(differences(before, json.loads(json.dumps(before)))) == []

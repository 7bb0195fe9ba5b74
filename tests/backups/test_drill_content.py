"""The rows of a restored copy are read as pg_dump wrote the original's, whatever the tables are like."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace
from io import FileIO
from pathlib import Path

import pytest

from dbadmin.archives.manifest import Manifest
from dbadmin.backups.drill import drill_backup
from dbadmin.choices import DrillKind, DrillState
from dbadmin.engines.postgresql import copied
from dbadmin.engines.postgresql.copied import hash_rows
from dbadmin.engines.postgresql.toc import TABLE_DATA, Entry
from dbadmin.exceptions import Cancelled
from dbadmin.models import Backup, Database, Drill, Storage
from dbadmin.progress import Silent
from dbadmin.text import Text
from tests.backups.test_drill_postgresql import nothing_left, take
from tests.backups.test_drill_postgresql import own_folder_for_scratch_servers as own_folder_for_scratch_servers
from tests.postgresql_database import execute, postgresql

__all__ = ["postgresql"]
pytestmark = pytest.mark.postgresql
CONTENT = Text("Content, byte by byte")

ODD = """
CREATE SCHEMA "a (b"; CREATE SCHEMA "FROM stdin";
CREATE TABLE "a (b"."it's; a ""name"" (x" ("FROM stdin" int, "b)" text, twice int GENERATED ALWAYS AS (7) STORED);
INSERT INTO "a (b"."it's; a ""name"" (x" VALUES (1, E'tab\\there, back\\\\slash'), (2, NULL), (3, '\\.');
CREATE TABLE "FROM stdin"."FROM stdin" ("TO" text); INSERT INTO "FROM stdin"."FROM stdin" VALUES ('ü 店');
CREATE TABLE without_columns (); INSERT INTO without_columns DEFAULT VALUES;
CREATE TABLE empty (id int);
CREATE TABLE elder (id int); CREATE TABLE younger (more text) INHERITS (elder);
INSERT INTO elder VALUES (1); INSERT INTO younger VALUES (2, 'y');
CREATE TABLE parts (id int, at date) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT n, date '2020-02-28' + n FROM generate_series(1, 20) AS n;
CREATE TABLE wide (f float8, g float4, n numeric, t timestamptz, i interval, j json, b bytea, x xml, m money, a text[]);
INSERT INTO wide SELECT n / 3.0, n / 7.0, 'NaN', timestamptz '2024-03-31 01:30Z' + n * interval '1 hour',
  n * interval '1 month 2 days 3.5 seconds', '{"a" : 1,"a":2}', decode(md5(n::text), 'hex'), '<a b="c"/>', 12.5,
  ARRAY['a"b', NULL, '{}'] FROM generate_series(1, 3000) AS n;
ALTER TABLE wide ADD dropped int; ALTER TABLE wide DROP dropped;
ALTER TABLE wide ENABLE ROW LEVEL SECURITY; ALTER TABLE wide FORCE ROW LEVEL SECURITY;
SELECT lo_from_bytea(0, convert_to(repeat('large', 500000), 'UTF8')); SELECT lo_from_bytea(0, '');
"""


def content(row: Drill) -> tuple[str, str]:
    found = [check for check in row.checks if check["name"] == CONTENT.to_json()]
    return found[0]["verdict"], str(Text.from_json(found[0]["message"]))


def test_odd_tables_are_equal_to_the_last_byte(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, ODD)
    row = drill_backup(backup=take(postgresql, storage), progress=Silent())
    assert (row.state, row.differences) == (DrillState.PROVEN, [])
    # eight tables and partitions of their own, wide, and the large objects together
    assert content(row) == ("ok", "10 of 10 are equal to the last byte.")


def test_a_partial_drill_reads_the_chosen_tables_alone(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, ODD)
    backup = take(postgresql, storage)
    row = drill_backup(backup=backup, kind=DrillKind.PARTIAL, tables=("public.wide",), progress=Silent())
    assert content(row) == ("ok", "1 of 1 are equal to the last byte.")


def test_what_is_chosen_by_chance_are_tables_and_no_materialised_views(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, "CREATE TABLE t AS SELECT 1 AS n; CREATE MATERIALIZED VIEW m AS SELECT n FROM t")
    row = drill_backup(backup=take(postgresql, storage), kind=DrillKind.PARTIAL, progress=Silent())
    assert (row.state, row.tables) == (DrillState.PROVEN, ["public.t"])


def test_many_small_tables_go_through_the_same_pipes(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, "".join(f"CREATE TABLE t{n} AS SELECT {n} AS n;" for n in range(150)))
    row = drill_backup(backup=take(postgresql, storage), progress=Silent())
    assert (row.state, content(row)[1]) == (DrillState.PROVEN, "150 of 150 are equal to the last byte.")


def test_a_program_that_starts_meanwhile_takes_no_rows_with_it(
    postgresql: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it has become that program, a new process holds what we have open, and the server sees a reader."""
    execute(postgresql, "CREATE TABLE t AS SELECT 1 AS n")
    entry = Entry(
        number=1, kind=TABLE_DATA, schema="public", name="t", file="1.dat", needs=(), copy="COPY public.t FROM stdin;"
    )
    reading = copied._reading

    def held_elsewhere(pipe: Path) -> FileIO:
        held = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        time.sleep(0.3)
        os.close(held)
        return reading(pipe)

    monkeypatch.setattr(copied, "_reading", held_elsewhere)
    found = hash_rows(postgresql.connection(), [entry], output={}, progress=Silent())
    assert found == {"public.t": hashlib.sha256(b"1\n" + copied.END_OF_ROWS).hexdigest()}


class Impatient(Silent):
    """Lets rows be read until it was asked more often than ``patience``."""

    def __init__(self, patience: int, *, reading: bool = False) -> None:
        self.patience = patience
        self.reading = reading

    def phase(self, name: Text, *, total: int | None = None, unit: str = "bytes") -> None:
        self.reading = name.msgid == "Reading the restored rows"

    def check(self) -> None:
        self.patience -= self.reading
        if self.patience < 0:
            raise Cancelled


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_cancelling_between_tables_leaves_nothing_however_quickly_they_are_read(
    postgresql: Database, storage: Storage
) -> None:
    """Each table is a moment to ask, so that three of them are three, on a machine of any speed."""
    execute(postgresql, "".join(f"CREATE TABLE t{n} AS SELECT {n} AS n;" for n in range(3)))
    backup: Backup = take(postgresql, storage)
    before = open_files()
    for patience in (0, 0, 1, 2):
        with pytest.raises(Cancelled):
            drill_backup(backup=backup, progress=Impatient(patience))
        assert nothing_left()
    assert open_files() <= before + 2


@pytest.mark.parametrize("rows", ["generate_series(1, 1000000000000)", "pg_sleep(3600)"])
def test_cancelling_ends_a_table_that_never_ends_or_never_begins(rows: str, postgresql: Database) -> None:
    copy = f"COPY (SELECT {rows}) FROM stdin;"
    entry = Entry(number=1, kind=TABLE_DATA, schema="public", name="endless", file="1.dat", needs=(), copy=copy)
    before = open_files()
    with pytest.raises(Cancelled):
        hash_rows(postgresql.connection(), [entry], output={}, progress=Impatient(5, reading=True))
    assert open_files() <= before + 2
    execute(postgresql, "DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'COPY%'); END $$")


def test_a_backup_that_cannot_be_read_again_is_not_called_proven(postgresql: Database, storage: Storage) -> None:
    """One of before the settings in which rows are written were noted."""
    execute(postgresql, "CREATE TABLE t AS SELECT 1 AS n")
    backup = take(postgresql, storage)
    read = Manifest.from_bytes

    def of_before(content: bytes) -> Manifest:
        found = read(content)
        return replace(found, origin={name: value for name, value in found.origin.items() if name != "output"})

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Manifest, "from_bytes", of_before)
        row = drill_backup(backup=backup, progress=Silent())
    assert (row.state, content(row)[0]) == (DrillState.INCOMPLETE, "skipped")

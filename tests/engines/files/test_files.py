"""A set of files is backed up whole and parsed, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dbadmin.engines.base import RestoreOptions
from dbadmin.engines.files import FilesConnection, FilesEngine
from dbadmin.exceptions import Cancelled, ConnectionFailed, CorruptArchive, DbadminError, Refused, ValidationFailed
from dbadmin.progress import Silent

ENGINE = FilesEngine()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "bot"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "members.json").write_text('{"一": 1, "two": [2]}')
    (folder / "config" / "version.json").write_text('{"version": "1.2.0", "applied": ["1.0.0", "1.2.0"]}')
    (folder / "message 日本.json").write_text("[1, 2, 3]")
    (folder / "logo.bin").write_bytes(bytes(range(256)))
    return folder


def of(root: Path, *required: str, optional: tuple[str, ...] = ()) -> FilesConnection:
    return ENGINE.connection({"folder": str(root), "required": list(required), "optional": list(optional)})


def dump(connection: FilesConnection, spool: Path, progress: Silent | None = None) -> Any:
    return ENGINE.dump(connection, scope="full", spool=spool, progress=progress or Silent())


def restore(target: FilesConnection, spool: Path, origin: Any) -> Any:
    return ENGINE.restore(
        target, spool=spool, scope="full", origin=origin, client_version="", options=RestoreOptions(), progress=Silent()
    )


def test_a_restored_set_is_equal_in_content_mode_and_time(root: Path, spool: Path) -> None:
    (root / "config" / "members.json").chmod(0o600)
    os.utime(root / "logo.bin", ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    source = of(root, "config/*.json", "message*.json", optional=("logo.*", "roles*.json"))
    made = dump(source, spool)
    target = ENGINE.new_target(source, "bot restored")
    restore(target, spool, json.loads(json.dumps(made.origin)))
    assert made.facts.differences(ENGINE.facts(target, progress=Silent())) == ()
    for name in made.facts.tables:
        before, after = (root / name).stat(), (target.root / name).stat()
        assert (before.st_mode, before.st_mtime_ns, before.st_uid) == (after.st_mode, after.st_mtime_ns, after.st_uid)
    assert sorted(os.listdir(root.parent)) == ["bot", "bot restored", "spool"]
    assert target.root.stat().st_mode == root.stat().st_mode


def test_facts_count_entries_and_hash_content(root: Path, spool: Path) -> None:
    made = dump(of(root, "**/*.json", "*.bin"), spool)
    assert made.facts.tables == {
        "config/members.json": 2,
        "config/version.json": 2,
        "logo.bin": 0,
        "message 日本.json": 3,
    }
    assert made.facts.objects == {"files": 4}
    assert made.facts.checksums["logo.bin"] == hashlib.sha256(bytes(range(256))).hexdigest()
    assert made.facts.schema_head == {"version.json": ["1.2.0"]}
    assert made.attributes["files/logo.bin"]["required"] is True
    assert (spool / "files" / "message 日本.json").read_text() == "[1, 2, 3]"


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        (b"", 1, 1),
        (b'{"a": 1,\n "b": }', 2, 7),
        (b'{"a": 1, "b": ', 1, 15),
        ("{\n  \"名\": '1'}".encode(), 2, 8),
        (b'{"a": 1}\n{"b": 2}', 2, 1),
        (b'[1,\n "ab\xff"]', 2, 5),
        (b"[" * 100_000, 1, 1),
        (b"[\n" + b"9" * 5000 + b"]", 2, 1),
        (b"<<<<<<< HEAD\n{}", 1, 1),
    ],
)
def test_broken_json_fails_with_line_and_column(
    root: Path, spool: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, line: int, column: int
) -> None:
    monkeypatch.setattr("dbadmin.engines.files.content.WAIT_SECONDS", 0.0)
    (root / "config" / "members.json").write_bytes(content)
    source = of(root, "config/*.json")
    with pytest.raises(ValidationFailed, match=f"members.json” is not valid JSON: line {line}, column {column}:"):
        dump(source, spool)
    assert os.listdir(spool) == []
    (found,) = ENGINE.snapshot(source).values["invalid"]
    assert (found["path"], found["line"], found["column"]) == ("config/members.json", line, column)


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        (b'{"a": 1, "a": 2}', "twice"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"\xef\xbb\xbf{}", "byte order"),
    ],
)
def test_odd_json_is_a_warning(root: Path, spool: Path, content: bytes, remark: str) -> None:
    (root / "odd.json").write_bytes(content)
    (warning,) = dump(of(root, "odd.json"), spool).warnings
    assert remark in str(warning)


def test_a_half_written_file_is_waited_for(root: Path, spool: Path) -> None:
    path = root / "config" / "members.json"
    path.write_text('{"a": ')
    writer = threading.Timer(0.3, path.write_text, ['{"a": 1}'])
    writer.start()
    assert dump(of(root, "config/members.json"), spool).facts.tables == {"config/members.json": 1}
    writer.join()


class _WritesMeanwhile(Silent):
    """Stands for a program that writes whenever a part of its file has been read; ``times`` none: always."""

    def __init__(self, path: Path, times: int | None = None) -> None:
        self.path, self.times, self.done = path, times, 0

    def check(self) -> None:
        self.done += 1
        if self.times is None or self.done <= self.times:
            self.path.write_bytes(bytes([self.done % 256]) * 3_000_000)


def test_a_file_that_never_rests_is_refused_not_torn(root: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbadmin.engines.files.content.WAIT_SECONDS", 0.0)
    path = root / "hot.bin"
    path.touch()
    with pytest.raises(ValidationFailed, match="changed each time"):
        dump(of(root, "hot.bin"), spool, _WritesMeanwhile(path))
    assert os.listdir(spool) == []


def test_a_file_that_changes_while_it_is_read_is_read_again(root: Path, spool: Path) -> None:
    path = root / "hot.bin"
    path.write_bytes(b"0" * 3_000_000)
    dump(of(root, "hot.bin"), spool, _WritesMeanwhile(path, times=3))
    assert set((spool / "files" / "hot.bin").read_bytes()) == {3}


def test_a_required_pattern_without_a_file_fails_and_an_optional_one_is_a_remark(root: Path, spool: Path) -> None:
    source = of(root, "config/*.json", "roles*.json")
    with pytest.raises(ValidationFailed, match="No file matches “roles"):
        dump(source, spool)
    assert ENGINE.snapshot(source).values["missing_required"] == ["roles*.json"]
    assert "No file matches" in str(ENGINE.probe(source).failed.message)
    (warning,) = dump(of(root, "config/*.json", optional=("roles*.json",)), spool).warnings
    assert "roles*.json" in str(warning)


def test_links_that_leave_and_things_that_are_no_files_are_refused(root: Path, spool: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    for make in (
        lambda path: path.symlink_to(tmp_path / "secret.json"),
        lambda path: path.symlink_to(root / "nothing"),
        lambda path: path.symlink_to(path),
        os.mkfifo,
    ):
        make(root / "x.json")
        with pytest.raises(DbadminError):
            dump(of(root, "*.json"), spool)
        assert ENGINE.snapshot(of(root, "*.json")).values["invalid"][0]["path"] == "x.json"
        (root / "x.json").unlink()
    (root / "x.json").symlink_to(root / "config" / "members.json")
    assert dump(of(root, "x.json"), spool).facts.tables == {"x.json": 2}


@pytest.mark.parametrize("pattern", ["../*.json", "/etc/passwd", "a/../b", "a//b", "./a"])
def test_patterns_that_leave_the_folder_are_refused(root: Path, pattern: str) -> None:
    with pytest.raises(ValidationFailed, match="not a pattern inside"):
        of(root, pattern)


@pytest.mark.parametrize(
    "settings",
    [{}, {"folder": "x"}, {"folder": "/x"}, {"folder": "/x", "required": "*.json"}, {"folder": "/x", "required": [1]}],
)
def test_settings_that_lack_something_are_explained(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationFailed):
        ENGINE.connection(settings)


def test_a_name_that_is_not_utf_8_is_a_sentence(root: Path, spool: Path) -> None:
    (root / os.fsdecode(b"b\xffd.json")).write_text("{}")
    with pytest.raises(ValidationFailed, match="not UTF-8"):
        dump(of(root, "b*.json"), spool)


def test_a_missing_folder_is_a_sentence(tmp_path: Path, spool: Path) -> None:
    source = of(tmp_path / "none", "*.json")
    for attempt in (ENGINE.snapshot, ENGINE.history, lambda c: dump(c, spool)):
        with pytest.raises(ConnectionFailed, match="There is no"):
            attempt(source)
    assert not (tmp_path / "none").exists()


_AS_NOBODY = """
import os, sys
from dbadmin.engines.files import FilesEngine
os.setgid(65534); os.setuid(65534)
engine = FilesEngine()
failed = engine.probe(engine.connection({"folder": sys.argv[1], "required": ["**/*.json"]})).failed
print(failed and failed.message)
"""


@pytest.mark.usefixtures("as_root")
def test_what_may_not_be_read_is_named_and_never_left_out(open_folder: Path) -> None:
    (open_folder / "config").mkdir()
    path = open_folder / "config" / "a.json"
    path.write_text("{}")

    def told() -> str:
        command = [sys.executable, "-c", _AS_NOBODY, str(open_folder)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert told() == "None"
    path.chmod(0o600)
    assert told() == f"“{path}” may not be read."
    path.parent.chmod(0o700)
    assert told() == f"“{path.parent}” may not be read."


class _CancelAtSecondFile(Silent):
    done = 0

    def update(self, done: int, *, current: str = "") -> None:
        self.done = done

    def check(self) -> None:
        if self.done:
            raise Cancelled


def test_cancelling_leaves_nothing(root: Path, spool: Path) -> None:
    with pytest.raises(Cancelled):
        dump(of(root, "**"), spool, _CancelAtSecondFile())
    assert os.listdir(spool) == []


def test_only_a_new_or_empty_folder_is_restored_into(root: Path, spool: Path) -> None:
    source = of(root, "config/*.json")
    made = dump(source, spool)
    empty = ENGINE.new_target(source, "empty")
    empty.root.mkdir()
    assert not ENGINE.exists(empty)
    restore(empty, spool, made.origin)
    assert ENGINE.exists(empty)
    with pytest.raises(Refused, match="exists already"):
        restore(empty, spool, made.origin)
    ENGINE.discard(empty)
    assert not empty.root.exists()


def test_an_archive_that_lacks_a_file_is_refused(root: Path, spool: Path) -> None:
    source = of(root, "**/*.json")
    made = dump(source, spool)
    (spool / "files" / "config" / "members.json").unlink()
    with pytest.raises(CorruptArchive, match="members"):
        restore(ENGINE.new_target(source, "other"), spool, made.origin)
    assert sorted(os.listdir(root.parent)) == ["bot", "spool"]


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    small_disk: Path, root: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "large.bin").write_bytes(os.urandom(12_000_000))
    source = of(root, "**")
    with pytest.raises(Refused, match="MB free"):
        dump(source, small_disk)
    made = dump(source, spool)
    target = ENGINE.new_target(source, str(small_disk / "copy"))
    for module in ("engine", "restore"):
        monkeypatch.setattr(f"dbadmin.engines.files.{module}.require_space", lambda folder, needed: None)
    with pytest.raises(DbadminError, match="is full"):
        dump(source, small_disk)
    with pytest.raises(DbadminError, match="is full"):
        restore(target, spool, made.origin)
    assert os.listdir(small_disk) == []


def test_the_history_is_that_of_the_version_file(root: Path) -> None:
    (tool,) = ENGINE.history(of(root, "config/*.json"))
    assert (tool.tool, [row.revision for row in tool.rows], tool.heads) == (
        "version.json",
        ["1.0.0", "1.2.0"],
        ("1.2.0",),
    )
    assert ENGINE.history(of(root, "logo.bin")) == ()
    with pytest.raises(ValidationFailed):
        ENGINE.rows(of(root, "*.json"), "SELECT 1")

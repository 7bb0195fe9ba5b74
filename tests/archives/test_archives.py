"""An archive is believed only when every byte is as the manifest has it."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dbadmin.archives.manifest import Manifest, Member
from dbadmin.archives.reader import read_manifest, unpack, verify
from dbadmin.archives.writer import ArchiveWriter
from dbadmin.exceptions import CorruptArchive, ValidationFailed
from dbadmin.facts import Facts
from dbadmin.progress import Silent
from dbadmin.storages.base import CHUNK
from dbadmin.storages.local import LocalStorage
from tests.test_space import dropping as dropping
from tests.test_space import make

CONTENT = {
    "dump/toc.dat": b"toc" * 1000,
    "dump/1.dat.zst": bytes(range(256)) * 9000,
    "名前 with space.sql": b"",
    "z": b"z",
}


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "store")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def manifest(spool: Path, storage: LocalStorage) -> Manifest:
    writer = ArchiveWriter(spool=spool, progress=Silent(), attributes={"z": {"mode": 0o640}})
    writer.write(storage, "db/one")
    made = Manifest(
        engine="sqlite", application="見本", database="db", scope="full",
        started_at=datetime(2026, 11, 21, 3, tzinfo=UTC), finished_at=datetime(2026, 11, 21, 4, tzinfo=UTC),
        server_version="3.54", client_version="3.54", facts=Facts(tables={"作品": 3}),
        members=tuple(writer.members), archive_size=writer.size, archive_sha256=writer.sha256,
    )  # fmt: skip
    storage.write("db/one/manifest.json", [made.to_bytes()])
    return made


def test_everything_comes_back(storage: LocalStorage, manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    unpack(storage, "db/one", read_manifest(storage, "db/one"), tmp_path / "out", Silent())
    found = {name: (tmp_path / "out" / name).read_bytes() for name in CONTENT}
    assert found == CONTENT
    assert read_manifest(storage, "db/one") == manifest


def test_what_is_read_once_is_the_same_archive_and_is_gone(
    storage: LocalStorage, manifest: Manifest, spool: Path
) -> None:
    writer = ArchiveWriter(spool=spool, progress=Silent(), attributes={"z": {"mode": 0o640}}, once=True)
    writer.write(storage, "db/two")
    verify(storage, "db/two", manifest, Silent())
    assert (tuple(writer.members), writer.sha256) == (manifest.members, manifest.archive_sha256)
    assert [path for path in spool.rglob("*") if path.is_file()] == []


def test_a_file_that_is_somebody_elses_too_is_only_read(storage: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "dumped").mkdir()
    for name in ("linked", "pointed"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "dumped/linked").hardlink_to(tmp_path / "linked")
    (tmp_path / "dumped/pointed").symlink_to(tmp_path / "pointed")
    ArchiveWriter(spool=tmp_path / "dumped", progress=Silent(), once=True).write(storage, "db/four")
    for name in ("linked", "pointed"):
        assert (tmp_path / name).read_text() == (tmp_path / "dumped" / name).read_text() == name


@pytest.mark.usefixtures("dropping")
def test_room_is_given_back_while_a_file_is_read(storage: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "dumped").mkdir()
    large = make(tmp_path / "dumped" / "large", 4 * CHUNK >> 20)
    blocks: list[int] = []

    class Looking(Silent):
        def update(self, done: int, *, current: str = "") -> None:
            opened = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
            ours = [fd for fd in opened if os.path.lexists(fd) and os.readlink(fd) == f"{large} (deleted)"]
            blocks.extend(os.stat(fd).st_blocks for fd in ours)

    ArchiveWriter(spool=large.parent, progress=Looking(), once=True).write(storage, "db/three")
    assert blocks == sorted(blocks, reverse=True)
    assert len(set(blocks)) == 4
    assert min(blocks) == 0


def test_plain_tar_reads_it(storage: LocalStorage, manifest: Manifest) -> None:
    with tarfile.open(fileobj=io.BytesIO(b"".join(storage.open("db/one/backup.tar")))) as tar:
        assert sorted(tar.getnames()) == sorted(CONTENT)


def test_every_single_flipped_bit_is_found(storage: LocalStorage, manifest: Manifest) -> None:
    path = storage.root / "db/one/backup.tar"
    content = path.read_bytes()
    for offset in [*range(0, 2048, 97), *range(2048, len(content), len(content) // 40), len(content) - 1]:
        damaged = bytearray(content)
        damaged[offset] ^= 1 << (offset % 8)
        path.write_bytes(damaged)
        with pytest.raises(CorruptArchive):
            verify(storage, "db/one", manifest, Silent())


@pytest.mark.parametrize("length", [0, 1, 511, 512, 5000, -1, -512])
def test_a_truncated_archive_is_found(storage: LocalStorage, manifest: Manifest, length: int) -> None:
    path = storage.root / "db/one/backup.tar"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CorruptArchive):
        verify(storage, "db/one", manifest, Silent())


def test_something_appended_is_found(storage: LocalStorage, manifest: Manifest) -> None:
    path = storage.root / "db/one/backup.tar"
    path.write_bytes(path.read_bytes() + bytes(10_240))
    with pytest.raises(CorruptArchive):
        verify(storage, "db/one", manifest, Silent())


def test_the_manifest_of_another_backup_is_found(storage: LocalStorage, manifest: Manifest) -> None:
    other = dataclasses.replace(manifest, members=manifest.members[:-1])
    with pytest.raises(CorruptArchive):
        verify(storage, "db/one", other, Silent())


def test_nothing_is_written_outside_the_folder(storage: LocalStorage, manifest: Manifest, tmp_path: Path) -> None:
    evil = dataclasses.replace(manifest.members[0], name="../evil")
    hostile = dataclasses.replace(manifest, members=(evil, *manifest.members[1:]))
    (tmp_path / "out").mkdir()
    with pytest.raises(CorruptArchive):
        unpack(storage, "db/one", hostile, tmp_path / "out", Silent())
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b'{"format": 1}', b"\xff\xfe"])
def test_what_is_no_manifest_is_a_sentence(content: bytes) -> None:
    with pytest.raises(CorruptArchive) as failure:
        Manifest.from_bytes(content)
    assert "Error" not in str(failure.value)
    assert "char 0" not in str(failure.value)


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "a//b", ".", ""])
def test_a_tar_and_a_manifest_that_agree_on_a_name_outside(tmp_path: Path, storage: LocalStorage, name: str) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        info = tarfile.TarInfo(name.replace("/evil", f"{tmp_path}/evil") if name.startswith("/") else name)
        tar.addfile(info, io.BytesIO(b""))
    content = made.getvalue()
    storage.write("db/evil/backup.tar", [content])
    member = Member(name=info.name, size=0, sha256=hashlib.sha256(b"").hexdigest())
    hostile = dataclasses.replace(
        plain(), members=(member,), archive_size=len(content), archive_sha256=hashlib.sha256(content).hexdigest()
    )
    (tmp_path / "out").mkdir()
    with pytest.raises(CorruptArchive):
        unpack(storage, "db/evil", hostile, tmp_path / "out", Silent())
    assert not (tmp_path / "evil").exists()
    with pytest.raises(CorruptArchive):
        Manifest.from_bytes(hostile.to_bytes())


def plain(**overrides: Any) -> Manifest:
    moment = datetime(2026, 11, 21, 3, tzinfo=UTC)
    return dataclasses.replace(
        Manifest(
            engine="sqlite", application="app", database="db", scope="full", started_at=moment, finished_at=moment,
            server_version="", client_version="", facts=Facts(tables={"a": 1}, sequences={"s": None}, missing=("b",)),
            members=(Member(name="a\\u0000b", size=1, sha256="0" * 64),), archive_size=1, archive_sha256="0" * 64,
        ),
        **overrides,
    )  # fmt: skip


HOSTILE: tuple[dict[str, Any], ...] = (
    {"database": ["x"]}, {"database": None}, {"database": "nul\0"}, {"database": "half\ud800"}, {"scope": None},
    {"engine": ["sqlite"]}, {"application": {"a": 1}}, {"origin": [1]}, {"archive_size": "1"}, {"archive_size": -1},
    {"archive_size": 10**30}, {"archive_sha256": "z" * 900}, {"client_version": {"a": 1}}, {"members": "abc"},
    {"members": [{"name": 5, "size": 1, "sha256": "0" * 64}]}, {"members": [{"name": "a", "size": -1, "sha256": ""}]},
    {"started_at": "2026-01-01T00:00:00"}, {"finished_at": "0001-01-01T00:00:00+00:00"}, {"facts": [1]},
    {"facts": {"tables": {"a": 10**30}}}, {"facts": {"tables": {"a": "x"}}}, {"facts": {"tables": {"a": float("nan")}}},
    {"facts": {"schema_head": {"alembic": "abc"}}}, {"facts": {"missing": 5}}, {"facts": {"reasons": {"a": {"b": 1}}}},
)  # fmt: skip


@pytest.mark.parametrize("change", HOSTILE, ids=str)
def test_a_manifest_that_nobody_wrote_in_earnest_is_a_sentence(change: dict[str, Any]) -> None:
    sound = json.loads(plain().to_bytes())
    assert Manifest.from_bytes(json.dumps(sound).encode()) == plain()
    with pytest.raises(CorruptArchive):
        Manifest.from_bytes(json.dumps(sound | change).encode())


def test_a_manifest_without_an_end_is_a_sentence() -> None:
    with pytest.raises(CorruptArchive):
        Manifest.from_bytes(b"[" * 100_000)


class Counted:
    """A storage whose every object goes on for ever."""

    def __init__(self) -> None:
        self.read = 0

    def open(self, key: str, *, offset: int = 0) -> Iterator[bytes]:
        while True:
            self.read += 1_000_000
            yield b" " * 1_000_000


def test_a_manifest_of_a_hostile_bucket_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbadmin.archives.reader.LARGEST", 3_000_000)
    endless = Counted()
    with pytest.raises(CorruptArchive, match="larger than 3 MB"):
        read_manifest(endless, "db/one")  # type: ignore[arg-type]
    assert endless.read == 4_000_000


def test_a_manifest_that_could_not_be_read_again_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbadmin.archives.manifest.LARGEST", 100)
    with pytest.raises(ValidationFailed, match="several sets"):
        plain().to_bytes()

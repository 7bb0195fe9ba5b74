"""A storage in the folder of another, in every kind of place: what one deletes may be what the other keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dbadmin.storages import get_storage
from dbadmin.storages.base import Storage
from dbadmin.storages.local import LocalStorage
from dbadmin.storages.twins import meet, overlapping, seen_through
from tests.storages.places import Place


def below(place: Place, folder: str) -> Storage:
    """The storage that is in a folder of the place."""
    settings: dict[str, Any] = place.settings()
    where = "prefix" if "prefix" in settings else "path"
    return get_storage(place.kind, settings | {where: f"{settings[where]}/{folder}"}, place.secrets)


def test_one_in_the_other_is_found_from_both_sides(place: Place) -> None:
    outer, inner = place.storage(), below(place, "a/b")
    outer.write("x", [b"x"])
    assert overlapping(inner, [("outer", outer)]) == "outer"
    assert overlapping(outer, [("inner", inner)]) == "inner"
    assert overlapping(outer, [("itself", place.storage())]) == "itself"
    # the same name is another object in each of them
    assert seen_through(outer, [("inner", inner)]) is None
    assert place.left() == ["x"]


def test_side_by_side_is_apart(place: Place) -> None:
    one, other = below(place, "ab"), below(place, "a")
    one.write("x", [b"x"])
    other.write("x", [b"x"])
    assert overlapping(one, [("other", other)]) is None
    assert overlapping(other, [("one", one)]) is None
    assert place.left() == ["a/x", "ab/x"]


@pytest.mark.parametrize("inner", ["vault/sub", "link/sub", "."])
def test_a_folder_that_is_not_made_yet_lies_in_another_already(tmp_path: Path, inner: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "vault")
    (tmp_path / "vault").mkdir()
    outer, new = LocalStorage(tmp_path / "vault"), LocalStorage(tmp_path / inner)
    assert overlapping(new, [("other", outer)]) == "other"
    assert overlapping(outer, [("other", new)]) == "other"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["link", "vault"]


def test_one_folder_is_one_place_before_it_is_made(tmp_path: Path) -> None:
    folder, same = LocalStorage(tmp_path / "vault"), LocalStorage(tmp_path / "." / "sub" / ".." / "vault")
    by_rclone = get_storage("rclone", {"remote": "local", "path": str(tmp_path / "vault")})
    assert overlapping(same, [("other", folder)]) == "other"
    assert overlapping(by_rclone, [("other", folder)]) == "other"
    assert overlapping(LocalStorage(tmp_path / "beside"), [("other", folder)]) is None
    assert not any(tmp_path.iterdir())


S3 = {"bucket": "archives", "endpoint": "https://S3.nowhere.invalid/", "prefix": "/a/"}
AZURE = {"account": "me", "container": "archives"}
SFTP = {"remote": "sftp", "path": "a/", "options": "host = nowhere.invalid\nuser = me\nhost_keys = ssh-ed25519 AAAA"}
DRIVE = {"remote": "drive:", "path": "a"}


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("s3", S3, {"endpoint": "https://s3.nowhere.invalid:443", "prefix": "a"}),
        ("s3", S3, {"path_style": False, "region": "eu-central-1"}),
        ("s3", S3, {"prefix": "a/b"}),
        ("gcs", S3, {"prefix": "a"}),
        ("azure", AZURE, {"endpoint": "https://me.blob.core.windows.net"}),
        ("rclone", SFTP, {"path": "a", "options": SFTP["options"] + "\nport = 22"}),
        ("rclone", DRIVE, {"path": "a/b"}),
    ],
)
def test_what_the_settings_tell_nobody_has_to_answer(kind: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    place, twin = get_storage(kind, one), get_storage(kind, one | other)
    assert overlapping(place, [("other", twin)]) == "other"
    assert overlapping(twin, [("other", place)]) == "other"


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("s3", S3, {"bucket": "others"}),
        ("s3", S3, {"endpoint": "https://s3.elsewhere.invalid"}),
        ("s3", S3, {"prefix": "ab"}),
        ("rclone", SFTP, {"path": "/a"}),
        ("rclone", SFTP, {"options": SFTP["options"] + "\nport = 23"}),
        ("rclone", SFTP, {"options": SFTP["options"].replace("= me", "= you")}),
        ("rclone", DRIVE, {"remote": "other:"}),
    ],
)
def test_settings_of_others_are_asked(kind: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not meet(get_storage(kind, one), get_storage(kind, one | other))

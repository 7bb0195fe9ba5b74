"""A storage in the folder of another, in every kind of place: what one deletes may be what the other keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dbadmin.storages import get_storage
from dbadmin.storages.base import Storage
from dbadmin.storages.local import LocalStorage
from dbadmin.storages.twins import overlapping, seen_through
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

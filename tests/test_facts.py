"""Facts compare exactly."""

from __future__ import annotations

from dbadmin.facts import MOST_NAMES, Difference, Facts, named


def test_rows_of_materialised_views_are_compared_only_where_one_side_has_none() -> None:
    views = {"materialized_views": ["mv"]}
    before = Facts(tables={"t": 3, "mv": 3}, objects={"materialized_views": 1}, names=views)
    anew = Facts(tables={"t": 3, "mv": 2}, objects={"materialized_views": 1}, names=views)
    assert before.differences(anew) == ()
    assert [str(line) for line in before.made_anew(anew)] == [
        "mv was filled anew from its tables. Rows now: 2; when it was backed up: 3."
    ]
    gone = Facts(tables={"t": 3}, objects={"materialized_views": 0}, names={"materialized_views": []})
    assert [each.subject for each in before.differences(gone)] == ["mv"]
    empty = Facts(tables={"t": 3}, objects={"materialized_views": 1}, names=views)
    assert [each.subject for each in before.differences(empty)] == ["mv"]
    assert before.made_anew(empty) == ()


def test_equal_facts_have_no_difference() -> None:
    facts = Facts(tables={"a": 1}, sequences={"s": None}, objects={"views": 2}, schema_fingerprint="abc")
    assert facts.differences(Facts.from_json(facts.to_json())) == ()


def test_a_missing_table_and_a_missing_row_are_named() -> None:
    before = Facts(tables={"a": 1, "b": 2})
    assert [str(d.as_text()) for d in before.differences(Facts(tables={"a": 0}))] == [
        "a: expected 1, found 0",
        "b: expected 2, found –",
    ]


def test_a_sequence_that_was_never_used_differs_from_one_that_is_gone() -> None:
    assert Facts(sequences={"s": None}).differences(Facts()) != ()


def test_something_new_is_a_difference_too() -> None:
    assert [d.subject for d in Facts().differences(Facts(tables={"new": 0}))] == ["new"]


def test_another_schema_is_a_difference() -> None:
    assert Facts(schema_fingerprint="a" * 64).differences(Facts(schema_fingerprint="b" * 64))[0].subject == "schema"


def sentences(before: Facts, after: Facts) -> list[str]:
    return [str(each.as_text()) for each in before.differences(after)]


def test_a_missing_object_is_named_in_place_of_counted() -> None:
    before = Facts(objects={"indexes": 2, "views": 1}, names={"indexes": ["a", "b"], "views": ["v"]})
    after = Facts(objects={"indexes": 2, "views": 1}, names={"indexes": ["a", "c"], "views": ["v"]})
    assert sentences(before, after) == ["Index b: expected, missing", "Index c: not in the backup, but found"]


def test_a_table_that_is_gone_is_told_once() -> None:
    before = Facts(tables={"t": 3}, objects={"tables": 2}, names={"tables": ["parted", "t"]})
    after = Facts(objects={"tables": 0}, names={"tables": []})
    assert sentences(before, after) == ["t: expected 3, found –", "Table parted: expected, missing"]


def test_without_names_on_one_side_objects_are_counted() -> None:
    """Manifests of before have none, nor have kinds of which there are very many."""
    before = Facts.from_json({"objects": {"indexes": 2}})
    after = Facts(objects={"indexes": 1}, names={"indexes": ["a"]})
    assert sentences(before, after) == ["indexes: expected 2, found 1"]
    assert sentences(after, before) == ["indexes: expected 1, found 2"]


def test_names_are_sorted_and_left_out_where_they_are_very_many() -> None:
    assert named({"indexes": ["b", "a"], "views": map(str, range(MOST_NAMES + 1))}) == {"indexes": ["a", "b"]}


def test_a_difference_of_before_is_still_read() -> None:
    assert str(Difference(subject="x", expected="1", found="2").as_text()) == "x: expected 1, found 2"

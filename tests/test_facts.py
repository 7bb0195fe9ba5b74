"""Facts compare exactly."""

from __future__ import annotations

from dbadmin.facts import Facts


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

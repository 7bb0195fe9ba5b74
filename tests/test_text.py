"""Sentences keep their parts until somebody reads them."""

from __future__ import annotations

from django.utils import translation

from dbadmin.text import Text, quoted, verbatim


def test_it_survives_json_with_its_parts() -> None:
    text = Text("{n} files in {where}", n=3, where=Text("the folder {name}", name="設定"))
    again = Text.from_json(text.to_json())
    assert again == text
    assert str(again) == "3 files in the folder 設定"


def test_it_is_read_in_the_readers_language() -> None:
    text = Text("The job was cancelled.")
    with translation.override("ja"):
        assert str(text) != "The job was cancelled."
    with translation.override("en"):
        assert str(text) == "The job was cancelled."


def test_a_hostile_parameter_is_only_text() -> None:
    assert str(Text("Failed: {reason}", reason="{0.__class__} %s {reason}")) == "Failed: {0.__class__} %s {reason}"


def test_a_hostile_sentence_reaches_nothing() -> None:
    for way in ("__class__.__init__.__globals__[re]", "params[b]"):
        stored = {"msgid": "{a." + way + "}", "params": {"a": {"msgid": "x", "params": {"b": "secret"}}}}
        assert str(Text.from_json(stored)) == "{a." + way + "}"
    assert str(Text("{n:.1f}", n=1.25)) == "1.2"


def test_a_missing_parameter_does_not_raise() -> None:
    assert str(Text("{a} and {b}", a=1)) == "1 and {b}"


def test_words_of_a_tool_are_not_translated() -> None:
    assert str(verbatim("FATAL: {oops")) == "FATAL: {oops"


def test_what_no_database_can_store_is_replaced() -> None:
    stored = Text("{path}", path="a\udcff\0b").to_json()
    assert stored["params"]["path"] == "a?�b"


def test_lists_of_names_are_quoted_as_the_reader_quotes() -> None:
    names = Text.from_json(quoted(["Vault", "Attic"]).to_json())
    with translation.override("en"):
        assert str(names) == "“Vault”, “Attic”"
    with translation.override("ja"):
        assert str(names) == "「Vault」、「Attic」"
    assert not quoted([])
    assert str(quoted(["n"] * 3000)).count("n") == 3000

"""Every marked string is present in Japanese, and what is compiled is what is written."""

from __future__ import annotations

import re

import polib

from scripts.messages import CATALOGUE, load, messages

PLACE = re.compile(r"\{\w+\}|%\(\w+\)[sd]")


def translations(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def test_every_marked_string_is_in_the_catalogue_and_no_other() -> None:
    assert {(entry.msgid, entry.msgid_plural or "") for entry in load()} == set(messages())


def test_every_string_is_translated() -> None:
    assert [entry.msgid for entry in load() if not all(translations(entry)) or entry.fuzzy] == []


def test_translations_keep_the_named_places() -> None:
    wrong = [
        entry.msgid
        for entry in load()
        for text in translations(entry)
        if set(PLACE.findall(text)) != set(PLACE.findall(entry.msgid_plural or entry.msgid))
    ]
    assert wrong == []


def test_the_compiled_catalogue_is_the_written_one() -> None:
    compiled = {entry.msgid: entry.msgstr for entry in polib.mofile(str(CATALOGUE.with_suffix(".mo")))}
    written = {entry.msgid: entry.msgstr for entry in load() if not entry.msgid_plural}
    assert written.items() <= compiled.items()

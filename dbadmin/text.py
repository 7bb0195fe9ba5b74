"""Sentences that are stored in English and shown in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any


def _untranslated(message: str) -> str:
    return message


_translate: Callable[[str], str] = _untranslated


def set_translator(translate: Callable[[str], str]) -> None:
    """Say how message ids become the reader's language. Called once, when Django is ready."""
    global _translate
    _translate = translate


@dataclass(frozen=True)
class Text:
    """A sentence for a person: a message id with ``{named}`` places and what stands in them.

    The worker that meets a failure does not know who will read of it, so it stores the id and the
    parameters (JSON values or further ``Text``); the page translates. The first argument has to be a
    literal, because the message catalogue is extracted from the source. ``str()`` gives the sentence in
    the active language and never raises: an unknown place is left as it stands.
    """

    msgid: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def __init__(self, msgid: str, /, **params: Any) -> None:
        object.__setattr__(self, "msgid", msgid)
        object.__setattr__(self, "params", params)

    def __str__(self) -> str:
        translated = _translate(self.msgid) if self.msgid else ""
        return _fill(translated, self.params)

    def __bool__(self) -> bool:
        return bool(self.msgid)

    def to_json(self) -> dict[str, Any]:
        """Return what ``from_json`` takes; every parameter is a JSON value."""
        return {"msgid": self.msgid, "params": {key: _to_json(value) for key, value in self.params.items()}}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | str | None) -> Text:
        """Rebuild a sentence. A plain string (a tool's own words) stays as it is in every language."""
        if not stored:
            return cls("")
        if isinstance(stored, str):
            return verbatim(stored)
        return cls(stored["msgid"], **{key: _from_json(value) for key, value in stored["params"].items()})


def verbatim(words: str) -> Text:
    """Wrap words that are not ours, such as the last line of a tool, so that they are never translated."""
    return Text("{words}", words=words)


def joined(sentences: Iterable[Text]) -> Text:
    """Return the sentences as one text, one after the other; those that are empty, or there already, are left out."""
    different: list[Text] = []
    for sentence in sentences:
        if sentence and sentence not in different:
            different.append(sentence)
    return reduce(lambda one, next_one: Text("{message} {hint}", message=one, hint=next_one), different or [Text("")])


def listed(words: Iterable[Text]) -> Text:
    """Return them as a list on one line, with what the reader's language puts between them; empty for none."""
    found = list(words) or [Text("")]
    if len(found) == 1:
        return found[0]
    half = len(found) // 2  # what is nested a thousand deep cannot be shown
    return Text("{one}, {other}", one=listed(found[:half]), other=listed(found[half:]))


def quoted(names: Iterable[str]) -> Text:
    """Return names as a list, each in the quotation marks of the reader's language."""
    return listed(Text("“{name}”", name=name) for name in names)


class _Places(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


# A sentence from a manifest could reach through a parameter into our settings.
_REACHING = re.compile(r"\{[^{}:!]*[.\[]")


def _fill(message: str, params: Mapping[str, Any]) -> str:
    if _REACHING.search(message):
        return message
    try:
        return message.format_map(_Places(params))
    except (ValueError, IndexError, AttributeError, KeyError):
        return message


def _to_json(value: Any) -> Any:
    if isinstance(value, Text):
        return value.to_json()
    if isinstance(value, int | float | None):
        return value
    # File names may be no Unicode, and tools may print NUL: neither can be stored or shown.
    return str(value).encode("utf-8", "replace").decode().replace("\0", "�")


def _from_json(value: Any) -> Any:
    return Text.from_json(value) if isinstance(value, dict) else value

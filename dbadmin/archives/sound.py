"""A manifest found in a storage may have been written by anybody: what its values have to be before they are used.

Nothing that dbadmin itself writes may be refused here: its archive could not be restored any more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

# What an integer of the catalogue can hold; sums of what is counted stay below it.
MOST = 2**53
_HASH = re.compile(r"[0-9a-f]{64}")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def loads(content: bytes) -> Any:
    """Parse a document of which every text can be stored and shown; ``ValueError`` says what cannot."""
    document = json.loads(content, parse_constant=_refuse)
    if _NUL.search(json.dumps(document, ensure_ascii=False).encode()):
        raise ValueError("NUL in a text")
    return document


def is_inside(name: str) -> bool:
    """Say whether a member of an archive stays inside the folder that it is unpacked into."""
    return "\0" not in name and all(part not in ("", ".", "..") for part in name.split("/"))


def require(document: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` naming the first value that is not what every manifest has there."""
    for name, fits in _FIELDS.items():
        _demand((name in _OPTIONAL and name not in document) or fits(document[name]), name)
    for name in ("started_at", "finished_at"):
        moment = datetime.fromisoformat(document[name])
        _demand(moment.tzinfo is not None and 1970 <= moment.year < 9999, name)
    for number, member in enumerate(document["members"]):
        for name, fits in _MEMBER.items():
            _demand((name in _OPTIONAL and name not in member) or fits(member[name]), f"members[{number}].{name}")
    for name, fits in _FACTS.items():
        _demand(name not in document["facts"] or fits(document["facts"][name]), f"facts.{name}")
    _demand(sum(document["facts"].get("tables", {}).values()) <= MOST, "facts.tables")


def _demand(holds: bool, name: str) -> None:
    if not holds:
        raise ValueError(name)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _text(most: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) <= most


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def _scalar(value: Any) -> bool:
    return not isinstance(value, list | dict)


def _hash(value: Any) -> bool:
    return isinstance(value, str) and bool(_HASH.fullmatch(value))


def _mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _each(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(fits(each) for each in value.values())


def _reason(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, dict) and isinstance(value.get("msgid"), str) and isinstance(value.get("params"), dict)
    )


_OPTIONAL = {"origin", "attributes"}
_FIELDS: dict[str, Callable[[Any], bool]] = {
    "engine": _text(20), "application": _text(100), "database": _text(100), "scope": _text(10),
    "started_at": _text(40), "finished_at": _text(40), "server_version": _text(1000), "client_version": _text(1000),
    "facts": _mapping, "members": lambda value: isinstance(value, list), "archive_size": _count,
    "archive_sha256": _hash, "origin": _mapping,
}  # fmt: skip
_MEMBER: dict[str, Callable[[Any], bool]] = {
    "name": lambda value: isinstance(value, str) and is_inside(value),
    "size": _count, "sha256": _hash, "attributes": _mapping,
}  # fmt: skip
_FACTS: dict[str, Callable[[Any], bool]] = {
    "tables": _each(_count), "sequences": _each(_scalar), "objects": _each(_count), "schema_fingerprint": _text(200),
    "schema_head": _each(_texts), "checksums": _each(_text(200)), "hashes": _each(_text(200)), "missing": _texts,
    "reasons": _each(_reason), "names": _each(_texts),
}  # fmt: skip

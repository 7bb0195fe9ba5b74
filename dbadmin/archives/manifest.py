"""The description of a stored backup, written last: without it there is no backup."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from dbadmin.archives import sound
from dbadmin.exceptions import CorruptArchive, ValidationFailed
from dbadmin.facts import Facts
from dbadmin.text import Text

FORMAT = 1
ARCHIVE_NAME = "backup.tar"
MANIFEST_NAME = "manifest.json"
# Half a million files, or tables: nothing larger is read into memory, whoever wrote it.
LARGEST = 128_000_000


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file of the archive. ``size`` in bytes, ``sha256`` in hexadecimal, ``attributes`` as the engine needs them."""

    name: str
    size: int
    sha256: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that is needed to adopt and restore an archive without the catalogue. Holds no secret.

    ``origin`` is what the engine wants to know when it restores: encoding and collation of a PostgreSQL database,
    the path of a file. Sizes in bytes, times aware, in UTC.
    """

    engine: str
    application: str
    database: str
    scope: str
    started_at: datetime
    finished_at: datetime
    server_version: str
    client_version: str
    facts: Facts
    members: tuple[Member, ...]
    archive_size: int
    archive_sha256: str
    origin: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """Return the JSON document as it is stored: indented, Japanese unescaped, UTF-8.

        ``ValidationFailed`` when it is larger than what would be read again.
        """
        document = asdict(self) | {
            "facts": self.facts.to_json(),
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
        }
        content = json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True).encode()
        if len(content) > LARGEST:
            raise ValidationFailed(
                Text("The manifest would be larger than {most} MB.", most=LARGEST // 1_000_000),
                Text("There are too many files or tables for one backup: register them as several sets or databases."),
            )
        return content

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Read a stored manifest. Raises ``CorruptArchive`` for what is not one, or is of a later format."""
        try:
            document = sound.loads(content)
            return cls._from_document(document)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CorruptArchive(
                Text("The manifest cannot be read: {reason}.", reason=_why(error)),
                Text("Restore another backup; this archive cannot be trusted."),
            ) from error

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> Manifest:
        if document["format"] > FORMAT:
            raise CorruptArchive(
                Text(
                    "The manifest has format {found}; this dbadmin reads up to {known}.",
                    found=document["format"],
                    known=FORMAT,
                ),
                Text("Update dbadmin."),
            )
        sound.require(document)
        known = {key: document[key] for key in cls.__dataclass_fields__ if key in document}
        return cls(
            **known
            | {
                "facts": Facts.from_json(document["facts"]),
                "members": tuple(Member(**member) for member in document["members"]),
                "started_at": datetime.fromisoformat(document["started_at"]),
                "finished_at": datetime.fromisoformat(document["finished_at"]),
            }
        )


def _why(error: Exception) -> Text:
    if isinstance(error, KeyError):
        return Text("“{name}” is missing", name=error.args[0])
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError, RecursionError)):
        return Text("it is no whole JSON document")
    if isinstance(error, ValueError):
        return Text("it has a wrong value ({value})", value=error)
    return Text("what it says is of the wrong kind")

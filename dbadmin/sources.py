"""Where a connection comes from: a pasted URL, a .env file, environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dbadmin.text import Text


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A connection that was read: the engine, its settings, the password apart, and remarks for the reader."""

    engine: str
    settings: Mapping[str, Any]
    password: str = field(default="", repr=False)
    remarks: tuple[Text, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One possible source, in order of precedence; ``found`` are the variables that are set, values never shown."""

    name: str
    found: tuple[str, ...]
    chosen: bool
    remark: Text = field(default_factory=lambda: Text(""))


@dataclass(frozen=True, kw_only=True)
class Decision:
    """All candidates in order, and the one that won."""

    candidates: tuple[Candidate, ...]
    chosen: Chosen | None

    def require(self) -> Chosen:
        """Return the winner; ``ValidationFailed`` that lists the variables looked for when there is none."""
        raise NotImplementedError


def parse_url(url: str) -> Chosen:
    """Read a database URL."""
    raise NotImplementedError


def parse_env_file(content: str) -> dict[str, str]:
    """Read the lines of a .env file."""
    raise NotImplementedError


def from_environment(variables: Mapping[str, str]) -> Decision:
    """Decide by precedence, never mixing two sources."""
    raise NotImplementedError

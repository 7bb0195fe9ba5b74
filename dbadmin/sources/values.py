"""What was read of a connection, and how it was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dbadmin.exceptions import ValidationFailed
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
    """One possible source, in order of precedence; ``found`` are the variables that are set, values never shown.

    ``broken``: it is set but cannot be read, so that nothing after it is taken either.
    """

    name: str
    found: tuple[str, ...]
    chosen: bool
    broken: bool = False
    remark: Text = field(default_factory=lambda: Text(""))


@dataclass(frozen=True, kw_only=True)
class Decision:
    """All candidates in order, and the one that won."""

    candidates: tuple[Candidate, ...]
    chosen: Chosen | None

    def require(self) -> Chosen:
        """Return the winner; ``ValidationFailed`` that lists the variables looked for when there is none."""
        if self.chosen is not None:
            return self.chosen
        failed = next((candidate for candidate in self.candidates if candidate.broken), None)
        if failed is not None:
            raise ValidationFailed(
                Text("{source} cannot be used: {reason}", source=failed.name, reason=failed.remark),
                Text("A source that is set is never passed over, so that no other database is taken by mistake."),
            )
        raise ValidationFailed(
            Text("No variables describe a connection."),
            Text("Set one of {names}.", names=", ".join(candidate.name for candidate in self.candidates)),
        )

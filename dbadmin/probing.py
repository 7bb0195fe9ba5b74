"""Trying something stage by stage: what each stage came to, and which one failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dbadmin.text import Text


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step. ``message`` and ``hint`` are set when it failed, else they may be empty."""

    name: Text
    ok: bool
    milliseconds: float
    message: Text = field(default_factory=lambda: Text(""))
    hint: Text = field(default_factory=lambda: Text(""))


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The stages in order, ending with the one that failed, and what answered."""

    stages: tuple[Stage, ...]
    version: str = ""
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> Stage | None:
        """The stage that failed, or None when it is fit to be used."""
        return next((stage for stage in self.stages if not stage.ok), None)

"""A clock that only moves when somebody sleeps: what depends on time then comes out exactly, on any machine."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Clock:
    """Stands in for the module ``time`` where a module has imported that; ``slept`` are the pauses that were asked."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

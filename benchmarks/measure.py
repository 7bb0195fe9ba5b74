"""Run a program as a whole and say what it took, by the operating system's own accounting."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Run:
    """Seconds of wall clock and of CPU, and the largest single process in MB, of the program and all it waited for."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A way to do the work. ``prepare`` makes room for the next run; ``size`` says what it left, in bytes."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    prepare: Callable[[], None]
    size: Callable[[], int] = lambda: 0


def once(contestant: Contestant) -> Run:
    """Run it one time; RuntimeError with its last words when it fails."""
    contestant.prepare()
    os.sync()  # nobody waits for what somebody else has not written yet
    with open(os.devnull, "wb") as nothing, Path("/tmp/dbadmin-benchmark.err").open("w+b") as errors:
        begin = time.monotonic()
        process = subprocess.Popen(contestant.argv, env=_environment(contestant), stdout=nothing, stderr=errors)
        _pid, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        if status:
            errors.seek(0)
            raise RuntimeError(f"{contestant.name}: {errors.read().decode(errors='replace')[-800:]}")
    return Run(seconds=seconds, cpu_seconds=usage.ru_utime + usage.ru_stime, peak_mb=usage.ru_maxrss / 1024)


def _environment(contestant: Contestant) -> dict[str, str]:
    """Return its variables; Python may keep what it has compiled, as it does where dbadmin is installed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **contestant.env}


def compare(contestants: Sequence[Contestant], *, runs: int) -> list[dict[str, object]]:
    """Run all in turn, forwards and backwards, ``runs`` times after one that is not counted.

    Returns medians, and ratios to the first.
    """
    taken: dict[str, list[Run]] = {contestant.name: [] for contestant in contestants}
    sizes: dict[str, int] = {}
    for number in range(runs + 1):
        for contestant in contestants[:: -1 if number % 2 else 1]:
            run = once(contestant)
            sizes[contestant.name] = contestant.size()
            if number:
                taken[contestant.name].append(run)
    baseline = statistics.median(run.seconds for run in taken[contestants[0].name])
    return [_row(name, found, sizes[name], baseline) for name, found in taken.items()]


def _row(name: str, runs: Sequence[Run], size: int, baseline: float) -> dict[str, object]:
    seconds = [run.seconds for run in runs]
    median = statistics.median(seconds)
    return {
        "name": name,
        "seconds": round(median, 2),
        "range": f"{min(seconds):.2f}–{max(seconds):.2f}",
        "ratio": round(median / baseline, 2),
        "cpu_seconds": round(statistics.median(run.cpu_seconds for run in runs), 2),
        "peak_mb": round(max(run.peak_mb for run in runs)),
        "size_mb": round(size / 1e6),
        "wall_seconds": median,
        "size_bytes": size,
    }


def table(title: str, rows: Sequence[Mapping[str, object]]) -> str:
    """Return a Markdown table."""
    head = f"### {title}\n\n| what | seconds (min–max) | ratio | size MB | peak MB |\n|---|--:|--:|--:|--:|\n"
    return head + "".join(
        f"| {row['name']} | {row['seconds']} ({row['range']}) | {row['ratio']} | {row['size_mb'] or '–'} "
        f"| {row['peak_mb']} |\n"
        for row in rows
    )

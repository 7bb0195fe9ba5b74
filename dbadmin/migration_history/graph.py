"""Which revision comes before which. A graph is a mapping revision -> revisions it follows."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Graph = Mapping[str, Iterable[str]]


def ancestors(starts: Iterable[str], graph: Graph) -> set[str]:
    """Return the starts and everything that comes before them, also names that are no node. Cycles are harmless."""
    seen: set[str] = set()
    waiting = list(starts)
    while waiting:
        revision = waiting.pop()
        if revision not in seen:
            seen.add(revision)
            waiting.extend(graph.get(revision, ()))
    return seen


def followers(graph: Graph) -> dict[str, list[str]]:
    """Return the graph turned round: revision -> revisions that follow it."""
    turned: dict[str, list[str]] = defaultdict(list)
    for revision, parents in graph.items():
        for parent in parents:
            turned[parent].append(revision)
    return turned


def heads(graph: Graph) -> list[str]:
    """Return the nodes that nothing follows, sorted."""
    followed = {parent for parents in graph.values() for parent in parents}
    return sorted(set(graph) - followed)


def in_order(graph: Graph, key: Callable[[str], Any]) -> tuple[list[str], list[str]]:
    """Return the nodes with parents before children, equals by ``key``, and those in or behind a cycle, sorted."""
    inner = {revision: {parent for parent in parents if parent in graph} for revision, parents in graph.items()}
    waits_for = {revision: len(parents) for revision, parents in inner.items()}
    turned = followers(inner)
    ready = [(key(revision), revision) for revision, count in waits_for.items() if not count]
    heapq.heapify(ready)
    ordered: list[str] = []
    while ready:
        _key, revision = heapq.heappop(ready)
        ordered.append(revision)
        for child in turned.get(revision, ()):
            waits_for[child] -= 1
            if not waits_for[child]:
                heapq.heappush(ready, (key(child), child))
    return ordered, sorted(set(graph) - set(ordered))

"""Changes by which retention would release archives: the command line counts those first, and has to be told."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterable

from django.utils import timezone

from dbadmin.exceptions import Refused
from dbadmin.judged import let_go_by
from dbadmin.models import Database
from dbadmin.text import Text


def add_let_go(parser: ArgumentParser) -> None:
    """Add the option that says that they may go."""
    parser.add_argument("--let-go", action="store_true", help="also when retention lets archives go by this")


def require_wanted(change: Callable[[], object], databases: Iterable[Database], *, wanted: bool) -> int:
    """Return how many archives go by a change, which is tried and undone; ``Refused`` when that is not wanted.

    To be called in the transaction that makes the change, before it is made. See ``let_go_by`` for what it may do.
    """
    count = len(let_go_by(change, databases, now=timezone.now()))
    if count and not wanted:
        raise Refused(
            Text("Nothing was changed. Archives that retention would let go by this: {count}.", count=count),
            Text("If they may go, repeat the command with --let-go."),
        )
    return count


def told(count: int) -> list[str]:
    """Say how many go, if any do."""
    return [str(Text("Archives that retention lets go by this: {count}.", count=count))] if count else []

"""Values of options that argparse reads: what is out of bounds is wrong usage, and says what would be right."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation

from dbadmin.exceptions import UsageError, ValidationFailed
from dbadmin.text import Text

# Every database's integer column takes it.
MOST = 2**31 - 1


def whole(least: int, most: int = MOST) -> Callable[[str], int]:
    """Return the ``type`` of an option that is a whole number within these bounds, both included."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            said = Text("“{given}” is no whole number from {least} to {most}.", given=text, least=least, most=most)
            raise ArgumentTypeError(str(said))
        return number

    return read


def amount(text: str) -> Decimal:
    """Read an amount of something: not below zero, and finite."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(-1)
    if not number.is_finite() or not 0 <= number < MOST:
        raise ArgumentTypeError(str(Text("“{given}” is no number from 0 to {most}.", given=text, most=MOST)))
    return number


def finite(text: str) -> float:
    """Read a number that is one, unlike “nan”."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ArgumentTypeError(str(Text("“{given}” is no number.", given=text)))
    return number


@contextmanager
def wrong_usage() -> Iterator[None]:
    """Let what is refused about the values that were given end as wrong usage does."""
    try:
        yield
    except ValidationFailed as error:
        raise UsageError(error.message, error.hint) from error

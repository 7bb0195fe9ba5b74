"""Disk and memory of a file that are given back while it is read."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

# fallocate(2): punch a hole, keep the size.
_HOLE = 0x02 | 0x01
_DROPPED = "cancelled_write_bytes:"


class GiveBack:
    """Frees parts of files as long as that is free: many kernels first write to the disk what they are to forget.

    The first part tells: when the kernel has dropped it unwritten (proc(5), io), the others are freed, too.
    """

    def __init__(self) -> None:
        self._costs_nothing: bool | None = None

    def free(self, descriptor: int, offset: int, size: int) -> None:
        """Turn a part of a file into zeros that take no room, or do nothing."""
        if self._costs_nothing is None:
            before = _dropped()
            _punch(descriptor, offset, size)
            self._costs_nothing = _dropped() - before >= size
        elif self._costs_nothing:
            _punch(descriptor, offset, size)


def _dropped() -> int:
    """Return how many bytes this process has had the kernel forget unwritten; 0 where nobody counts them."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.removeprefix(_DROPPED)) for line in lines if line.startswith(_DROPPED)), 0)


def _punch(descriptor: int, offset: int, size: int) -> None:
    if _libc is not None:
        _libc.fallocate(descriptor, _HOLE, ctypes.c_int64(offset), ctypes.c_int64(size))


_libc = ctypes.CDLL(None) if sys.platform == "linux" and sys.maxsize > 1 << 32 else None

"""SHA-256 of a stream, reckoned beside the thread that reads and writes it: hashing leaves the interpreter free."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property

AHEAD = 2
# What is smaller is hashed sooner than it is handed over, unless larger ones wait before it.
LARGE = 1 << 18


class Digest:
    """The hash of all chunks in the order in which they came, in constant memory."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._waiting: deque[Future[None]] = deque()

    def update(self, chunk: bytes) -> None:
        """Add a chunk, which nobody changes afterwards; waits while ``AHEAD`` others are not hashed yet."""
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft().result()
        if len(chunk) < LARGE and not self._waiting:
            self._hash.update(chunk)
            return
        self._waiting.append(self._pool.submit(self._hash.update, chunk))
        if len(self._waiting) > AHEAD:
            self._waiting.popleft().result()

    def hexdigest(self) -> str:
        """Return the hash so far, in hexadecimal."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._hash.hexdigest()

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="sha256")

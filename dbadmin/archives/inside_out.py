"""Run code that reads and writes files as a step between two streams of chunks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue

from dbadmin.storages.base import CHUNK

AHEAD = 2


class _Stopped(Exception):
    """The consumer is gone, or the source failed."""


class _Hungry:
    """The step asks for another chunk."""


class _Ended:
    """The step has returned, or raised ``error``."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def inside_out(chunks: Iterable[bytes], step: Callable[[_Ends, _Ends], object]) -> Iterator[bytes]:
    """Yield what ``step(reader, writer)`` writes while it reads ``chunks``, in pieces of at most ``CHUNK`` bytes.

    The step runs in a thread; ``chunks`` are drawn in the caller's own, at most two ahead, so memory stays constant.
    What ``chunks`` or the step raises is raised here. When the caller stops early, the step ends before this returns.
    """
    ends = _Ends()
    thread = threading.Thread(target=ends.run, args=(step,), name="age", daemon=True)
    source = iter(chunks)
    thread.start()
    try:
        for _ in range(AHEAD):
            ends.feed(_next_of(source))
        while not isinstance(news := ends.news.get(), _Ended):
            if isinstance(news, _Hungry):
                ends.feed(_next_of(source))
            else:
                yield news
        if news.error is not None:
            raise news.error
    finally:
        ends.stop()
        thread.join()
        if close := getattr(source, "close", None):
            close()


def _next_of(source: Iterator[bytes]) -> bytes:
    """Skip empty chunks: to the step an empty one is the end."""
    return next((chunk for chunk in source if chunk), b"")


class _Ends:
    """Both files of the step: what it reads from and what it writes to."""

    def __init__(self) -> None:
        self.news: SimpleQueue[bytes | _Hungry | _Ended] = SimpleQueue()
        self._food: SimpleQueue[bytes | None] = SimpleQueue()
        self._chunk, self._at, self._over = b"", 0, False
        self._written: list[bytes] = []
        self._waiting = 0

    def run(self, step: Callable[[_Ends, _Ends], object]) -> None:
        try:
            step(self, self)
            self._deliver()
            self.news.put(_Ended(None))
        except BaseException as error:  # raised again in the thread of the caller
            self.news.put(_Ended(error))

    def feed(self, chunk: bytes) -> None:
        self._food.put(chunk)

    def stop(self) -> None:
        self._food.put(None)

    def read(self, size: int = -1) -> bytes:
        while self._at >= len(self._chunk):
            if self._over:
                return b""
            self._next()
        piece = self._chunk[self._at : self._at + size] if size >= 0 else self._chunk[self._at :]
        self._at += len(piece)
        return piece

    def write(self, piece: bytes) -> int:
        if self._waiting + len(piece) > CHUNK:
            self._deliver()
        self._written.append(bytes(piece))
        self._waiting += len(piece)
        return len(piece)

    def flush(self) -> None:
        """Do nothing: small pieces are worth collecting."""

    def _deliver(self) -> None:
        if self._waiting:
            self.news.put(b"".join(self._written))
            self._written, self._waiting = [], 0

    def _next(self) -> None:
        chunk = self._food.get()
        if chunk is None:
            raise _Stopped
        self._chunk, self._at, self._over = chunk, 0, not chunk
        if chunk:
            self.news.put(_Hungry())

"""zstd as the archives use it: level 1, with a checksum, streamed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from backports import zstd

CHUNK = 1024 * 1024
_OPTIONS: Mapping[int, int] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.checksum_flag: 1,
}


class Compression(threading.Thread):
    """Compresses a file in a thread of its own, so that the file can be checked at the same time.

    ``done`` counts the bytes read. ``finish`` waits, and raises what went wrong; ``abandon`` ends it soon and
    waits. The target is left to the caller to remove.
    """

    def __init__(self, source: Path, target: Path) -> None:
        super().__init__(daemon=True)
        self.done = 0
        self._source, self._target = source, target
        self._abandoned = threading.Event()
        self._error: OSError | zstd.ZstdError | None = None

    def run(self) -> None:
        """Compress to the end, or until it is abandoned."""
        try:
            self._compress()
        except (OSError, zstd.ZstdError) as error:
            self._error = error

    def _compress(self) -> None:
        compressor = zstd.ZstdCompressor(options=_OPTIONS)
        with self._source.open("rb") as source, self._target.open("xb") as target:
            compressor.set_pledged_input_size(self._source.stat().st_size)
            while (chunk := source.read(CHUNK)) and not self._abandoned.is_set():
                target.write(compressor.compress(chunk))
                self.done += len(chunk)
            if not self._abandoned.is_set():
                target.write(compressor.flush())

    def finish(self, look: Callable[[], None], *, every: float = 0.2) -> None:
        """Wait for the end and call ``look`` meanwhile, which may raise."""
        while self.is_alive():
            look()
            self.join(every)
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """End without finishing."""
        self._abandoned.set()
        self.join()


def compress_text(parts: Iterable[str], target: Path) -> None:
    """Write text as UTF-8 into a compressed file."""
    with zstd.open(target, "xb", options=_OPTIONS) as file:
        for part in parts:
            file.write(part.encode())


def decompress(source: Path, target: Path, look: Callable[[int], None]) -> None:
    """Write what ``source`` holds into ``target``; ``look`` gets the bytes of ``source`` read so far.

    Raises ``zstd.ZstdError`` or ``EOFError`` for a damaged or cut file, ``OSError`` as the system does.
    """
    with source.open("rb") as raw, zstd.open(raw, "rb") as file, target.open("wb") as sink:
        while chunk := file.read(CHUNK):
            sink.write(chunk)
            look(raw.tell())


def decompressed_size(source: Path) -> int:
    """Return how many bytes a compressed file holds; 0 when its header does not say."""
    with source.open("rb") as file:
        return zstd.get_frame_info(file.read(18)).decompressed_size or 0

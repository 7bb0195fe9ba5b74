"""Uploads go straight into the spool: never into memory, never to another disk, never beyond the limit."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile, StopFutureHandlers, StopUpload
from django.http import HttpRequest


class SpooledUpload(FileUploadHandler):
    """Writes the first file of a form to ``path``; ``is_too_large`` says that it was given up."""

    def __init__(self, request: HttpRequest, path: Path, *, limit: int) -> None:
        super().__init__(request)
        self.path = path
        self.is_too_large = False
        self._limit = limit
        self._sink: IO[bytes] | None = None
        self._size = 0

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Take the first, skip others."""
        super().new_file(*args, **kwargs)
        if self._sink is not None:
            raise SkipFile
        self._sink = self.path.open("xb")
        raise StopFutureHandlers

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Write it; stop reading as soon as there is too much."""
        assert self._sink is not None
        self._size += len(raw_data)
        if self._size > self._limit:
            self.is_too_large = True
            self._sink.close()
            raise StopUpload(connection_reset=True)
        self._sink.write(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile[bytes]:
        """Close it and say what it was called."""
        assert self._sink is not None
        self._sink.close()
        return UploadedFile(file=self._sink, name=self.file_name, size=file_size)

from __future__ import annotations


class FilesEngine:
    name = "files"

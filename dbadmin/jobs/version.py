"""Which files this process was started from: two processes that work together should say the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import dbadmin

ROOT = Path(dbadmin.__file__).parent


def _fingerprint() -> str:
    """Hash our own files: an update that a worker has not seen matters as much as another number."""
    files = hashlib.sha256()
    for path in sorted(ROOT.rglob("*.py")):
        files.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return files.hexdigest()[:8]


# When the process starts, not when somebody asks: the files may have been replaced by then.
VERSION = f"{dbadmin.__version__}+{_fingerprint()}"

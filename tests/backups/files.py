"""What lies on disk, and how to spoil it."""

from __future__ import annotations

from pathlib import Path

from dbadmin.backups import spool
from dbadmin.models import Backup


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def spools() -> list[Path]:
    return list(spool.root().glob("*"))


def stored(backup: Backup, name: str) -> Path:
    return Path(backup.storage.settings["path"]) / backup.key / name


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

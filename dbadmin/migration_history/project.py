"""A project folder as a source that is not trusted: read within bounds, never imported, never left."""

from __future__ import annotations

import ast
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dbadmin.exceptions import MigrationError
from dbadmin.text import Text

MEGABYTE = 1024 * 1024
DEEPEST = 6
MOST_FOLDERS = 3000
MOST_FILES = 5000
_SKIPPED = {"node_modules", "site-packages", "__pycache__", "venv", "env", "dist", "build"}


class Unreadable(MigrationError):
    """One file or folder of a project could not be read."""


@dataclass(frozen=True, kw_only=True)
class MigrationFile:
    """A migration as its file says.

    follows: revisions that have to be there and come before. depends_on: further ones, which may be labels.
    replaces: revisions that this one stands for. checksums: SHA-256, the file's own first, then equivalent ones.
    """

    revision: str
    follows: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    description: str = ""
    created: str = ""
    checksums: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Project:
    """The migrations of one tool in a project folder; ``apps`` are those whose files would be here (Django)."""

    files: tuple[MigrationFile, ...] = ()
    apps: frozenset[str] = frozenset()
    problems: tuple[Text, ...] = ()

    @cached_property
    def replaced(self) -> frozenset[str]:
        """Revisions that another file stands for, so that their own may be gone."""
        return frozenset(name for file in self.files for name in file.replaces)


@dataclass
class Folder:
    """A project folder. Every path handed out is inside it, also after following links."""

    root: Path
    problems: list[Text] = field(default_factory=list)

    @classmethod
    def open(cls, path: str) -> Folder:
        """Return the folder; ``Unreadable`` when it is not there."""
        try:
            root = Path(path).resolve(strict=True)
            os.scandir(root).close()
        except (OSError, RuntimeError, ValueError):
            raise Unreadable(
                Text("The project folder {path} cannot be read.", path=printable(path)),
                Text("Correct it in the settings of the database, or give the worker's user the right to read it."),
            ) from None
        return cls(root)

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """The folder and those in it, nearest first; hidden ones, environments and packages are left out."""
        found, level = [self.root], [self.root]
        for _ in range(DEEPEST):
            level = [child for folder in level for child in self._children(folder)]
            found += level
            if len(found) > MOST_FOLDERS:
                self.problems.append(
                    Text("The project folder has more than {count} folders; not all were searched.", count=MOST_FOLDERS)
                )
                break
        return tuple(found[:MOST_FOLDERS])

    def _children(self, folder: Path) -> Iterator[Path]:
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            self.problems.append(Text("{path} cannot be read.", path=self.shown(folder)))
            return
        yield from (folder / name for name in names if not name.startswith(".") and name not in _SKIPPED)

    def inside(self, path: Path) -> bool:
        """Say whether a path exists and lies in the folder once links are followed."""
        try:
            return path.resolve(strict=True).is_relative_to(self.root)
        except (OSError, RuntimeError, ValueError):
            return False

    def shown(self, path: Path) -> str:
        """Return a path as people know it: relative to the folder."""
        return printable(str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path))

    def names(self, folder: Path, suffix: str = "") -> list[str]:
        """Return the sorted names in a folder of the project; ``Unreadable`` when it is not one or too full."""
        if not self.inside(folder):
            raise Unreadable(Text("{path} leads out of the project folder.", path=self.shown(folder)))
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith(suffix))
        except OSError:
            raise Unreadable(Text("{path} cannot be read.", path=self.shown(folder))) from None
        if len(names) > MOST_FILES:
            raise Unreadable(Text("{path} holds more than {count} files.", path=self.shown(folder), count=MOST_FILES))
        return names

    def read(self, path: Path, *, limit: int = MEGABYTE) -> bytes:
        """Return the content of a regular file of the project; ``Unreadable`` when it is not one or too large."""
        if not self.inside(path):
            raise Unreadable(Text("{path} is not there or leads out of the project folder.", path=self.shown(path)))
        try:
            descriptor = os.open(path.resolve(), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
                content = file.read(limit + 1) if regular else b""
        except OSError:
            raise Unreadable(Text("{path} cannot be read.", path=self.shown(path))) from None
        if not regular:
            raise Unreadable(Text("{path} is not a file.", path=self.shown(path)))
        if len(content) > limit:
            raise Unreadable(Text("{path} is larger than {limit} bytes.", path=self.shown(path), limit=limit))
        return content

    def parse(self, path: Path) -> tuple[ast.Module, str]:
        """Return the syntax tree of a Python file, which is never run, and the SHA-256 of its text."""
        content = self.read(path)
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise Unreadable(Text("{path} is not valid Python.", path=self.shown(path))) from None
        return tree, hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def printable(words: str, limit: int = 255) -> str:
    """Return words that every catalogue can store: valid Unicode without NUL, of limited length."""
    return words.encode("utf-8", "replace").decode().replace("\0", "")[:limit]


def assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """Return name -> expression of the plain and annotated assignments in a module or class."""
    found: dict[str, ast.expr] = {}
    for statement in body:
        if isinstance(statement, ast.Assign):
            found |= {target.id: statement.value for target in statement.targets if isinstance(target, ast.Name)}
        elif isinstance(statement, ast.AnnAssign) and statement.value and isinstance(statement.target, ast.Name):
            found[statement.target.id] = statement.value
    return found

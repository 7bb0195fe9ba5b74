"""Alembic: files that name themselves and what they follow. Alembic runs them to read them; this does not."""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from collections.abc import Iterator, Mapping
from os.path import isdir, isfile
from pathlib import Path

from dbadmin.migration_history.project import Folder, MigrationFile, Project, Unreadable, assigned, printable
from dbadmin.text import Text

_CREATED = re.compile(r"^Create Date:\s*(.+)$", re.MULTILINE)


def read(folder: Folder) -> Project | None:
    """Read every file in the versions folders that the first configuration found names."""
    problems: list[Text] = []
    places = _places(folder, problems)
    if not places:
        return Project(problems=tuple(problems)) if problems else None
    files: dict[str, MigrationFile] = {}
    for path in _paths(folder, places, problems):
        try:
            file = _read_file(folder, path)
        except Unreadable as error:
            problems.append(error.message)
            continue
        if file.revision in files:
            problems.append(Text("Two files have the revision {revision}.", revision=file.revision))
        files[file.revision] = file
    return Project(files=tuple(files.values()), problems=tuple(problems))


def _paths(folder: Folder, places: list[Path], problems: list[Text]) -> Iterator[Path]:
    for place in places:
        try:
            yield from (place / name for name in folder.names(place, ".py") if not name.startswith(("__init__", ".#")))
        except Unreadable as error:
            problems.append(error.message)


def _places(folder: Folder, problems: list[Text]) -> list[Path]:
    """Return the versions folders: of the nearest configuration, else of the nearest env.py beside versions."""
    for base in folder.folders:
        try:
            if settings := _settings(folder, base):
                places = _configured(folder, base, settings)
                if existing := [place for place in places if isdir(place)]:
                    return existing
        except Unreadable as error:
            problems.append(error.message)
    usual = (base / "versions" for base in folder.folders if isfile(base / "env.py"))
    return [place for place in usual if isdir(place)][:1]


def _settings(folder: Folder, base: Path) -> Mapping[str, str] | None:
    if isfile(base / "alembic.ini"):
        return _ini(folder, base / "alembic.ini")
    if isfile(base / "pyproject.toml"):
        return _toml(folder, base / "pyproject.toml")
    return None


def _ini(folder: Folder, path: Path) -> Mapping[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(folder.read(path).decode())
        return dict(parser["alembic"]) if "alembic" in parser else {}
    except (configparser.Error, UnicodeDecodeError):
        raise Unreadable(Text("{path} is not a configuration of Alembic.", path=folder.shown(path))) from None


def _toml(folder: Folder, path: Path) -> Mapping[str, str] | None:
    try:
        tool = tomllib.loads(folder.read(path).decode()).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return None  # Not a file that this reader needs; another one may name the place.
    settings = tool.get("alembic") if isinstance(tool, dict) else None
    if not isinstance(settings, dict):
        return None
    return {key: " ".join(map(str, each)) if isinstance(each, list) else str(each) for key, each in settings.items()}


def _configured(folder: Folder, base: Path, settings: Mapping[str, str]) -> list[Path]:
    """Return the places that the settings name. Flask-Migrate's file names none and lies beside env.py."""
    script = _resolve(folder, base, settings.get("script_location", "."))
    separator = settings.get("path_separator", settings.get("version_path_separator", ""))
    pattern = {"os": ":", ":": ":", ";": ";", "newline": r"\n"}.get(separator.strip(), r"[\s,]+")
    named = [part.strip() for part in re.split(pattern, settings.get("version_locations", "")) if part.strip()]
    places = [_resolve(folder, base, part) for part in named] or [script / "versions"]
    if settings.get("recursive_version_locations", "").lower() in ("true", "1", "yes", "on"):
        places = [inner for inner in folder.folders if any(inner.is_relative_to(place) for place in places)]
    return places


def _resolve(folder: Folder, base: Path, value: str) -> Path:
    """Return where a location points: beside the file, where commands start, or in a package."""
    plain = value.strip().replace("%(here)s", str(base)).replace("%%", "%")
    package, colon, rest = plain.partition(":")
    if colon and not plain.startswith("/"):
        plain = f"{package.replace('.', '/')}/{rest}"
    candidates = [base / plain, folder.root / plain, base / "src" / plain]
    return next((place for place in candidates if isdir(place)), candidates[0])


def _read_file(folder: Folder, path: Path) -> MigrationFile:
    tree, checksum = folder.parse(path)
    values = assigned(tree.body)
    revision = _names(values.get("revision"))
    if not revision or len(revision) != 1 or not revision[0]:
        raise Unreadable(Text("{path} names no revision.", path=folder.shown(path)))
    follows, depends_on = _names(values.get("down_revision")), _names(values.get("depends_on"))
    if follows is None:
        raise Unreadable(Text("{path} computes what it follows; that cannot be read.", path=folder.shown(path)))
    notes = ast.get_docstring(tree) or ""
    created = _CREATED.search(notes)
    return MigrationFile(
        revision=revision[0],
        follows=follows,
        depends_on=depends_on or (),
        description=printable(notes.partition("\n")[0].strip(), 300),
        created=printable(created[1].strip(), 40) if created else "",
        checksums=(checksum,),
    )


def _names(value: ast.expr | None) -> tuple[str, ...] | None:
    """Return the names in a string, a tuple or None; None where it is something else."""
    if value is None:
        return ()
    parts = value.elts if isinstance(value, ast.Tuple | ast.List | ast.Set) else [value]
    constants = [part.value for part in parts if isinstance(part, ast.Constant)]
    if len(constants) != len(parts) or not all(isinstance(name, str | None) for name in constants):
        return None
    return tuple(printable(name) for name in constants if isinstance(name, str))

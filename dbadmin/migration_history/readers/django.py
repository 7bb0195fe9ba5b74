"""Django: modules with a class Migration in the migrations package of each app. Never imported."""

from __future__ import annotations

import ast
from os.path import isfile
from pathlib import Path

from dbadmin.migration_history.project import Folder, MigrationFile, Project, Unreadable, assigned, printable
from dbadmin.text import Text


def read(folder: Folder) -> Project | None:
    """Read the migrations of every app in the folder; those of installed packages are not in it."""
    files: list[MigrationFile] = []
    apps: set[str] = set()
    problems: list[Text] = []
    for place in folder.folders:
        if place.name != "migrations":
            continue
        app = _label(folder, place.parent)
        found = _files(folder, place, app, problems)
        files += found
        if found or isfile(place / "__init__.py"):
            apps.add(app)
    if not files:
        return None
    return Project(files=tuple(files), apps=frozenset(apps), problems=tuple(problems))


def _files(folder: Folder, place: Path, app: str, problems: list[Text]) -> list[MigrationFile]:
    found: list[MigrationFile] = []
    try:
        names = [name for name in folder.names(place, ".py") if not name.startswith(("_", "~", "."))]
    except Unreadable as error:
        problems.append(error.message)
        return found
    for name in names:
        try:
            file = _read_file(folder, place / name, app)
        except Unreadable as error:
            problems.append(error.message)
            continue
        if file:
            found.append(file)
    return found


def _read_file(folder: Folder, path: Path, app: str) -> MigrationFile | None:
    tree, checksum = folder.parse(path)
    migration = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Migration"), None)
    if migration is None:
        return None
    values = assigned(migration.body)
    return MigrationFile(
        revision=printable(f"{app}.{path.stem}"),
        follows=_pairs(values.get("dependencies")),
        replaces=_pairs(values.get("replaces")),
        description=printable(path.stem.partition("_")[2].replace("_", " "), 300),
        checksums=(checksum,),
    )


def _pairs(value: ast.expr | None) -> tuple[str, ...]:
    """Return ``app.name`` of the literal pairs; what is computed, such as a swappable model's app, is left out."""
    found: list[str] = []
    for pair in value.elts if isinstance(value, ast.List | ast.Tuple) else ():
        if isinstance(pair, ast.Tuple | ast.List):
            match [part.value for part in pair.elts if isinstance(part, ast.Constant)]:
                case [str(app), str(name)] if not name.startswith("__"):
                    found.append(printable(f"{app}.{name}"))
    return tuple(found)


def _label(folder: Folder, app: Path) -> str:
    """Return the label that the app's configuration gives itself, else the name of its folder."""
    try:
        tree, _checksum = folder.parse(app / "apps.py")
    except Unreadable:
        return printable(app.name)
    for node in tree.body:
        label = assigned(node.body).get("label") if isinstance(node, ast.ClassDef) else None
        if isinstance(label, ast.Constant) and isinstance(label.value, str):
            return printable(label.value)
    return printable(app.name)

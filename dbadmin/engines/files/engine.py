"""Sets of JSON and other files behind the engine protocol."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NoReturn

from dbadmin.engines.base import (
    FULL,
    Dump,
    Examination,
    ReportLine,
    RestoreOptions,
    ServerInfo,
    Snapshot,
    Switch,
    ToolHistory,
)
from dbadmin.engines.comparing import Compared
from dbadmin.engines.files import drill
from dbadmin.engines.files import replace as replacing
from dbadmin.engines.files import restore as restoring
from dbadmin.engines.files.compare import compare_files
from dbadmin.engines.files.content import VERSION_FILE, BrokenJSON, Content, read_content, versions
from dbadmin.engines.files.restore import MEMBERS
from dbadmin.engines.files.selection import (
    FilesConnection,
    Selected,
    require_patterns,
    require_regular,
    select,
    sentences,
    unmatched,
)
from dbadmin.engines.paths import absolute, attributes, beside, network_file_system, remove_partials, require_space
from dbadmin.engines.private import require_apart, require_public
from dbadmin.exceptions import DbadminError, ValidationFailed
from dbadmin.facts import COUNTS, Facts, Measuring
from dbadmin.probing import Stage
from dbadmin.progress import Progress
from dbadmin.text import Text


class FilesEngine:
    """A folder with files that an application keeps its state in.

    Settings: ``folder`` (absolute), ``required`` and ``optional`` (lists of globs relative to it).
    """

    name: ClassVar[str] = "files"
    label: ClassVar[Text] = Text("Files")
    scopes: ClassVar[tuple[str, ...]] = (FULL,)
    maintenance: ClassVar[Mapping[str, Text]] = {"integrity": Text("Parse every file")}

    def connection(self, settings: Mapping[str, Any], password: str = "") -> FilesConnection:
        """Return the folder with its patterns; at least one pattern has to be there."""
        required = require_patterns(settings.get("required") or [], "required")
        optional = require_patterns(settings.get("optional") or [], "optional")
        if not required and not optional:
            raise ValidationFailed(
                Text("No file pattern is given."),
                Text("Write at least one, such as {example}.", example="config/*.json"),
            )
        folder = absolute(settings, "folder")
        require_public(folder)
        return FilesConnection(folder, required, optional)

    def probe(self, connection: FilesConnection) -> ServerInfo:
        """Try the folder, the patterns and the content of each file."""
        stages: list[Stage] = []
        details: dict[str, str] = {}
        for name, step in (
            (Text("Folder"), _probe_folder),
            (Text("Files"), _probe_files),
            (Text("Content"), _probe_content),
        ):
            stages.append(_tried(name, step, connection, details))
            if not stages[-1].ok:
                break
        return ServerInfo(stages=tuple(stages), details=details)

    def dump(
        self, connection: FilesConnection, *, scope: str, spool: Path, progress: Progress, measuring: Measuring = COUNTS
    ) -> Dump:
        """Copy every file of the set into ``files/`` of the spool; JSON that does not parse ends the backup."""
        if scope != FULL:
            raise ValidationFailed(Text("A set of files is backed up as a whole."), Text("Choose the scope “full”."))
        files = _required_files(connection)
        with sentences(spool):
            require_space(spool, sum(require_regular(file, connection.root).st_size for file in files))
        try:
            contents = _read_all(connection, files, spool / MEMBERS, progress)
        except BaseException:
            shutil.rmtree(spool / MEMBERS, ignore_errors=True)
            raise
        origin = _origin(connection, files)
        return Dump(
            facts=_facts(contents),
            server_version="",
            client_version="",
            origin=origin,
            attributes={f"{MEMBERS}/{name}": kept for name, kept in origin["files"].items()},
            warnings=_warnings(connection, contents),
        )

    def new_target(self, connection: FilesConnection, name: str) -> FilesConnection:
        """Return a folder beside the original, or the folder of an absolute path, with the same patterns."""
        root = beside(connection.root, name)
        require_apart(root)
        return FilesConnection(root, connection.required, connection.optional)

    def exists(self, target: FilesConnection) -> bool:
        """Say whether something is there; an empty folder is nothing."""
        with sentences(target.root):
            return restoring.taken(target.root)

    def restore(
        self,
        target: FilesConnection,
        *,
        spool: Path,
        scope: str,
        origin: Mapping[str, Any],
        client_version: str,
        options: RestoreOptions,
        progress: Progress,
    ) -> tuple[ReportLine, ...]:
        """Make a new folder with the files, their modes, times and, where that is permitted, owners."""
        return restoring.restore(target.root, spool=spool, origin=origin, progress=progress)

    def discard(self, target: FilesConnection) -> None:
        """Remove the folder, also a half-made one."""
        with sentences(target.root):
            remove_partials(target.root)
            if target.root.exists():
                shutil.rmtree(target.root)

    def export_sql(self, *, spool: Path, client_version: str, progress: Progress) -> Path | None:
        """There is no SQL."""
        return None

    def facts(self, connection: FilesConnection, *, progress: Progress, measuring: Measuring = COUNTS) -> Facts:
        """Read, parse and hash every file, whatever ``measuring`` says."""
        return _facts(_read_all(connection, _required_files(connection), None, progress))

    def rows(self, connection: FilesConnection, sql: str, params: Sequence[Any] = ()) -> NoReturn:
        """Refuse: files answer no SQL."""
        raise ValidationFailed(Text("A set of files cannot be asked in SQL."))

    def history(self, connection: FilesConnection) -> tuple[ToolHistory, ...]:
        """Read the versions that a ``version.json`` of the set records."""
        found = [file for file in select(connection) if PurePosixPath(file.name).name == VERSION_FILE]
        contents = {file.name: read_content(file, connection.root, None, lambda: None) for file in found}
        return versions(contents)

    def snapshot(self, connection: FilesConnection) -> Snapshot:
        """Gather the files, missing patterns and what does not parse; damage is a value, not an exception."""
        files = select(connection)
        listed, invalid = [], []
        for file in files:
            size = 0
            try:
                size = require_regular(file, connection.root).st_size
                read_content(file, connection.root, None, lambda: None)
            except BrokenJSON as error:
                invalid.append(_invalid(file, error.line, error.column, error.reason))
            except DbadminError as error:
                invalid.append(_invalid(file, 0, 0, str(error.message)))
            listed.append({"path": file.name, "required": file.required, "bytes": size})
        return Snapshot(
            values={
                "files": listed,
                "missing_required": list(unmatched(connection, connection.required)),
                "invalid": invalid,
                "file_count": len(listed),
                "size_bytes": sum(entry["bytes"] for entry in listed),
            }
        )

    def scratch(
        self, *, origin: Mapping[str, Any], client_version: str, spool: Path, progress: Progress
    ) -> AbstractContextManager[FilesConnection]:
        """A temporary folder in the spool."""
        return drill.scratch(spool, origin)

    def reader(self, target: FilesConnection) -> FilesConnection:
        """The same: files answer no SQL."""
        return target

    def sweep(self, spool: Path) -> None:
        """Everything is in the spool."""

    def restore_some(
        self,
        target: FilesConnection,
        *,
        spool: Path,
        tables: tuple[str, ...],
        origin: Mapping[str, Any],
        client_version: str,
        progress: Progress,
    ) -> tuple[ReportLine, ...]:
        """Restore all: a set of files belongs together."""
        return restoring.restore(target.root, spool=spool, origin=origin, progress=progress)

    def content(self, *, spool: Path, progress: Progress) -> Mapping[str, str]:
        """One hash of each file."""
        return drill.hashes(spool / MEMBERS, progress)

    def content_of_copy(
        self,
        target: FilesConnection,
        *,
        archive: Path,
        origin: Mapping[str, Any],
        tables: tuple[str, ...],
        progress: Progress,
    ) -> Mapping[str, str]:
        """One hash of each restored file."""
        return drill.hashes(target.root, progress)

    def compare(self, *, left: Path, right: Path, content: bool, progress: Progress) -> Compared:
        """Key by key; files have no schema."""
        return compare_files(left / MEMBERS, right / MEMBERS, progress)

    def maintain(self, connection: Any, *, steps: Sequence[str], progress: Progress) -> tuple[Examination, ...]:
        """Look whether every file can be read; there is nothing to tidy."""
        return self.examine(connection, progress=progress)

    def examine(self, target: FilesConnection, *, progress: Progress) -> tuple[Examination, ...]:
        """Parse every file."""
        snapshot = self.snapshot(target)
        return drill.judge(snapshot.values["invalid"], snapshot.values["missing_required"])

    def beside_name(self, current: FilesConnection, suffix: str) -> str:
        """At most 255 bytes."""
        return replacing.beside_name(current.root, suffix)

    def intend(self, current: FilesConnection, *, candidate: str, kept: str) -> Switch:
        """Needs the right to write."""
        return replacing.intend(current, candidate=candidate, kept=kept)

    def replace(self, current: FilesConnection, switch: Switch, *, progress: Progress) -> tuple[ReportLine, ...]:
        """Rename file by file; what is not in the candidate is moved to what is kept."""
        return replacing.replace(current, switch, progress=progress)

    def settle(self, current: FilesConnection, switch: Switch) -> bool:
        """Finish it, or put everything back."""
        return replacing.settle(current, switch)


def _invalid(file: Selected, line: int, column: int, reason: str) -> dict[str, Any]:
    return {"path": file.name, "line": line, "column": column, "reason": reason}


def _required_files(connection: FilesConnection) -> tuple[Selected, ...]:
    """Return the set; ``ValidationFailed`` when a required pattern matches nothing, or there is no file at all."""
    files = select(connection)
    missing = unmatched(connection, connection.required)
    if missing or not files:
        patterns = missing or connection.optional
        raise ValidationFailed(
            Text("No file matches “{pattern}” in “{root}”.", pattern=", ".join(patterns), root=str(connection.root)),
            Text("Put the file back, or correct the patterns of this database."),
        )
    return files


def _read_all(
    connection: FilesConnection, files: tuple[Selected, ...], folder: Path | None, progress: Progress
) -> dict[str, Content]:
    progress.phase(Text("Reading the files"), total=len(files), unit="items")
    contents = {}
    for done, file in enumerate(files):
        progress.check()
        progress.update(done, current=file.name)
        target = folder / file.name if folder else None
        if target is not None:
            with sentences(target):
                target.parent.mkdir(parents=True, exist_ok=True)
        contents[file.name] = read_content(file, connection.root, target, progress.check)
    progress.update(len(files))
    return contents


def _facts(contents: Mapping[str, Content]) -> Facts:
    return Facts(
        tables={name: content.entries for name, content in contents.items()},
        objects={"files": len(contents)},
        schema_head={tool.tool: list(tool.heads) for tool in versions(contents)},
        checksums={name: content.sha256 for name, content in contents.items()},
    )


def _origin(connection: FilesConnection, files: tuple[Selected, ...]) -> dict[str, Any]:
    folders = {parent for file in files for parent in PurePosixPath(file.name).parents}
    with sentences(connection.root):
        return {
            "path": str(connection.root),
            "required": list(connection.required),
            "optional": list(connection.optional),
            "files": {file.name: attributes(file.path) | {"required": file.required} for file in files},
            "folders": {str(folder): attributes(connection.root / folder) for folder in sorted(folders)},
        }


def _warnings(connection: FilesConnection, contents: Mapping[str, Content]) -> tuple[Text, ...]:
    absent = unmatched(connection, connection.optional)
    remarks = [remark for content in contents.values() for remark in content.remarks]
    return (*remarks, *(Text("No file matches the optional pattern “{pattern}”.", pattern=each) for each in absent))


Step = Callable[[FilesConnection, dict[str, str]], Text | None]


def _tried(name: Text, step: Step, connection: FilesConnection, details: dict[str, str]) -> Stage:
    began = time.perf_counter()
    try:
        message, hint, ok = step(connection, details) or Text(""), Text(""), True
    except DbadminError as error:
        message, hint, ok = error.message, error.hint, False
    spent = round((time.perf_counter() - began) * 1000, 2)
    return Stage(name=name, ok=ok, milliseconds=spent, message=message, hint=hint)


def _probe_folder(connection: FilesConnection, details: dict[str, str]) -> Text | None:
    with sentences(connection.root):
        next(connection.root.iterdir(), None)
    if kind := network_file_system(connection.root):
        details["file_system"] = kind
        return Text("“{folder}” is on a network file system ({kind}).", folder=str(connection.root), kind=kind)
    return None


def _probe_files(connection: FilesConnection, details: dict[str, str]) -> Text | None:
    files = _required_files(connection)
    sizes = [require_regular(file, connection.root).st_size for file in files]
    details |= {"files": str(len(files)), "size_bytes": str(sum(sizes))}
    return None


def _probe_content(connection: FilesConnection, details: dict[str, str]) -> Text | None:
    for file in select(connection):
        read_content(file, connection.root, None, lambda: None)
    return None

